"""Opens Keras files (.keras), which may come from anybody. No other module opens them.

Keras builds whatever config.json describes. So Keras loads a file last, in safe mode, after it was
checked to hold only known layers and as many numbers as they need. What is refused is listed in
tests/security/test_keras_files.py. None of this is a sandbox: TensorFlow and HDF5 still parse the
file.
"""

import collections
import importlib
import io
import math
import pathlib
import warnings
import zipfile
from typing import Any

import numpy as np

from trainers.errors import ArtefactError
from trainers.store import untrusted

SUFFIX = ".keras"
_MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
# Layers that compute from their inputs and weights alone. Not among them: those that run code
# (Lambda), programs (TFSMLayer, JaxLayer, ...) or read files (StringLookup, ...).
_LAYERS = """
Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average
AveragePooling1D AveragePooling2D AveragePooling3D BatchNormalization Bidirectional
CategoryEncoding CenterCrop Concatenate Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D
Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D Cropping1D Cropping2D Cropping3D Dense
DepthwiseConv1D DepthwiseConv2D Dot Dropout ELU EinsumDense Embedding Flatten GRU GRUCell
GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D
GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
GroupNormalization GroupQueryAttention Identity InputLayer LSTM LSTMCell LayerNormalization
LeakyReLU Masking MaxPooling1D MaxPooling2D MaxPooling3D Maximum Minimum MultiHeadAttention
Multiply Normalization PReLU Permute RMSNormalization RNN RandomBrightness RandomContrast
RandomCrop RandomFlip RandomRotation RandomTranslation RandomZoom ReLU RepeatVector Rescaling
Reshape Resizing ReversibleEmbedding SeparableConv1D SeparableConv2D SimpleRNN SimpleRNNCell
Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D SpectralNormalization
StackedRNNCells Subtract TimeDistributed UnitNormalization UpSampling1D UpSampling2D
UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
"""
_OPERATIONS = "Cast SaturateCast Scatter Slice SliceUpdate StopGradient Unstack"
_KNOWN = {  # module as Keras writes it: its classes; None: all of them
    "keras": {"DTypePolicy", "Functional", "Model", "Sequential"},
    "keras.src.models.functional": {"Functional"},
    "keras.layers": set(_LAYERS.split()),
    "keras.initializers": None,
    "keras.regularizers": None,
    "keras.constraints": None,
    "keras.src.ops.core": set(_OPERATIONS.split()),  # others of it take functions
    "keras.src.ops.math": None,
    "keras.src.ops.nn": None,
    "keras.src.ops.numpy": None,
}
# Registered as zoo>Recurrence and so on when their files are imported.
_OURS = {
    "zoo.layers": {"Bias"},
    "zoo.mae": {"Waves"},
    "zoo.rnn": {"Recurrence"},
    "zoo.word2vec": {"Band"},
}
_TENSOR = "__keras_tensor__"
_VALUES = {_TENSOR, "__tensor__", "__numpy__", "__slice__", "__ellipsis__"}
_DTYPES = {"bool", "uint8", "int32", "int64", "float16", "bfloat16", "float32", "float64"}
_MAX_DEPTH = 64  # of config.json: ResNet152V2 has 11, a model inside a model adds 3
_MAX_CALLS = 200_000  # objects times their calls: ResNet152V2 has 2 663


def load(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The weights of a model that Keras 3 saved, by variable path.

    Variables that share a path are left out.

    Raises:
        ArtefactError: the file is of another kind, or has more than known layers and weights.
    """
    if path.suffix != SUFFIX or not path.is_file():
        raise ArtefactError(
            f"{path} is not a file that ends in {SUFFIX}: model.save('name{SUFFIX}')"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            names = {member.filename for member in untrusted.stored_members(archive)}
            if names != _MEMBERS:
                others = ", ".join(sorted(names ^ _MEMBERS))
                expected = ", ".join(sorted(_MEMBERS))
                raise ValueError(f"expected {expected}; missing or extra: {others}")
            content = {name: archive.read(name) for name in names}  # checks each against its CRC
        config = untrusted.parse_json(content["config.json"], "config.json")
        config.pop("compile_config", None)  # optimizer and losses: never built
        if config.get("class_name") not in _KNOWN["keras"]:
            raise ValueError("config.json does not describe a model of connected layers")
        _check_config(config)
        stored = _check_weights(content["model.weights.h5"])
        return _load(path, config, stored)
    except Exception as error:  # on a broken file a library may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ArtefactError(f"{path} is refused: {reason[:300]}") from error


def _check_config(value: Any, depth: int = 0) -> int:
    """The number of objects that a part of config.json creates, each times its calls."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"config.json is more than {_MAX_DEPTH} levels deep")
    if isinstance(value, list):
        return sum(_check_config(part, depth + 1) for part in value)
    if not isinstance(value, dict):
        return 0
    if "class_name" in value:
        _check_object(value)
    name = value.get("name", "")
    if isinstance(name, str) and (set("/\\\0") & set(name) or name in (".", "..")):
        raise ValueError(f"config.json has a name with a path in it: {name!r}")
    if value.get("unroll"):
        raise ValueError("config.json unrolls a loop over time: save it with unroll=False")
    made = "class_name" in value
    made += sum(_check_config(part, depth + 1) for part in value.values())
    made *= max(1, len(value.get("inbound_nodes") or ()))
    if made > _MAX_CALLS:
        raise ValueError(f"config.json makes more than {_MAX_CALLS} objects")
    return made


def _check_object(described: dict[str, Any]) -> None:
    kind, module = described["class_name"], described.get("module")
    if not isinstance(kind, str) or not isinstance(module, str | None):
        raise ValueError(f"config.json asks for {module!r:.40}.{kind!r:.40}")
    if module is None and kind in _VALUES:
        if described.get("config", {}).get("dtype", "bool") not in _DTYPES:  # "S99999999", say
            raise ValueError(f"config.json has a {kind} of {described['config']['dtype']!r}")
    else:
        known = (_KNOWN | _OURS).get(module, ())
        if not (kind[:1].isupper() and kind.isidentifier() and (known is None or kind in known)):
            raise ValueError(
                f"config.json asks for {module}.{kind}, which is none of the known layers"
            )
        if described.get("registered_name") not in (
            None,
            f"zoo>{kind}" if module in _OURS else kind,
        ):
            raise ValueError(f"config.json asks for {described['registered_name']!r} as {kind}")
        if not isinstance(described.get("config"), dict):
            raise ValueError(f"config.json has a {kind} without a config")
    if described.get("compile_config"):
        raise ValueError(f"config.json compiles the {kind} inside: save it uncompiled")
    for node in described.get("inbound_nodes") or ():
        # A call without an input of the model would be computed at once, at any size.
        if not _takes_a_tensor(node):
            raise ValueError(f"config.json calls {kind} on no tensor of Keras 3")


def _takes_a_tensor(value: Any, depth: int = 0) -> bool:
    if isinstance(value, dict):
        if value.get("class_name") == _TENSOR:
            return True
        value = list(value.values())
    return (
        isinstance(value, list)
        and depth < _MAX_DEPTH
        and any(_takes_a_tensor(part, depth + 1) for part in value)
    )


def _check_weights(content: bytes) -> int:
    """The size in bytes of all numbers in an HDF5 file, which must be stored plainly within it."""
    import h5py

    with h5py.File(io.BytesIO(content), "r") as file:
        pending, seen, stored = [file], set(), 0
        while pending:
            group = pending.pop()
            for name in group:
                link = type(group.get(name, getlink=True))  # checked before it is followed
                if link is not h5py.HardLink:
                    raise ValueError(f"{group.name}/{name} is a {link.__name__}")
                item = group[name]
                address = h5py.h5o.get_info(item.id).addr
                if address in seen:
                    raise ValueError(f"{item.name} is twice in the file")
                seen.add(address)
                for attribute in item.attrs:
                    if item.attrs.get_id(attribute).get_storage_size() > 2**16:
                        raise ValueError(f"{item.name} has a huge attribute")
                if isinstance(item, h5py.Group):
                    pending.append(item)
                else:
                    stored += _check_numbers(item)
    if stored > len(content):
        raise ValueError(f"the weights declare {stored} bytes, their file has {len(content)}")
    return stored


def _check_numbers(item: Any) -> int:
    import h5py

    if not isinstance(item, h5py.Dataset):
        raise ValueError(f"{item.name} is neither numbers nor a group")
    if item.is_virtual or item.external:
        raise ValueError(f"{item.name} is stored in other files")
    if item.dtype.hasobject or item.chunks is not None:
        raise ValueError(f"{item.name} is not stored plainly")
    declared = math.prod(item.shape) * item.dtype.itemsize
    if declared != item.id.get_storage_size():
        raise ValueError(
            f"{item.name}: header says {item.shape} {item.dtype}, but the data has another size"
        )
    return declared


def _load(path: pathlib.Path, config: dict[str, Any], stored: int) -> dict[str, np.ndarray]:
    import keras
    import tensorflow as tf

    for module in _OURS:
        importlib.import_module(module)
    # In a graph variables have shapes but no values: the size is known without allocating it.
    with tf.Graph().as_default():
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
        needed = sum(math.prod(v.shape) * tf.as_dtype(v.dtype).size for v in model.weights)
    if needed > stored:
        raise ValueError(f"the model needs {needed} bytes of weights, the file has {stored}")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    for warning in warned:
        if str(warning.message).startswith("Skipping"):  # weights that keep random values
            raise ValueError(str(warning.message))
    count = collections.Counter(variable.path for variable in model.weights)
    return {v.path: v.numpy() for v in model.weights if count[v.path] == 1}
