"""Checks that packaged ImageNet weights are read correctly: wrong padding costs only a few points.

    TFDS_DATA_DIR=... python benchmarks/pretrained_check.py [--images=500] [--model=mobilenet_v2]

Photographs from other packages (matplotlib, scikit-image, scikit-learn), where those are installed,
should get a plausible class. Before each batch normalisation, the mean and standard deviation of
each channel over crops of these photographs should agree with the stored ones, and agree better
than with shifted padding.

The main test is enlarged CIFAR-10 images: for each of its classes, the probabilities of all
ImageNet classes that belong to it are added up. The network with shifted padding, with blue first,
with other pixel scales or with another epsilon must not have both a smaller log-loss and a higher
accuracy: on images of low contrast, less certain answers have a better log-loss, right or wrong.
"""

import importlib.util
import pathlib
import sys
from collections.abc import Callable

import numpy as np
from absl import app, flags
from PIL import Image

from trainers.config.packages import PACKAGES
from trainers.errors import import_tensorflow

_IMAGES = flags.DEFINE_integer("images", 500, "Test images of CIFAR-10.", lower_bound=10)
_MODELS = flags.DEFINE_list("model", sorted(PACKAGES), "Models to check.")
_BATCH = 50
_MILITARY_UNIFORM = "n03763968"  # class 652 in the order of the weights
# For each class of CIFAR-10, in order, the ImageNet classes that belong to it. ImageNet has no
# deer: antelopes take their place.
_CLASSES = (
    (404, 895),
    (407, 436, 468, 511, 609, 627, 656, 661, 751, 817),
    (*range(7, 25), *range(80, 101), *range(127, 147)),
    range(281, 286),
    (351, 352, 353),
    range(151, 269),
    (30, 31, 32),
    (339,),
    (403, 472, 484, 510, 554, 576, 625, 628, 724, 780, 814, 833, 871, 914),
    (555, 569, 654, 675, 717, 734, 864, 867),
)
_PHOTOGRAPHS = {  # path in a package -> the right classes
    "matplotlib/mpl-data/sample_data/grace_hopper.jpg": (652, 457, 906),  # uniform, bow tie, tie
    "sklearn/datasets/images/china.jpg": (698, 442, 483),  # palace, bell cote, castle
    "skimage/data/chelsea.png": (281, 282, 285),  # cats
    "skimage/data/coffee.png": (967, 504, 968),  # espresso, mug, cup
}


_CROPPED = (  # paths in packages: colour photographs, for the statistics
    *_PHOTOGRAPHS,
    "sklearn/datasets/images/flower.jpg",
    *(f"skimage/data/{name}" for name in ("astronaut.png", "rocket.jpg", "motorcycle_left.png")),
)
_CROPS = 20  # of each photograph


def main(argv: list[str]) -> None:
    """Prints the checks; exit code 1 if one fails."""
    del argv
    import_tensorflow()
    _check_order_of_classes()
    images, labels = _cifar10(_IMAGES.value)
    failed = [line for name in _MODELS.value for line in _checked(name, images, labels)]
    print("\n".join(["", *(f"FAILED {line}" for line in failed)]) if failed else "all as expected")
    sys.exit(bool(failed))


def _checked(name: str, images: np.ndarray, labels: np.ndarray) -> list[str]:
    """The failed checks of one model."""
    failed = []
    chances = _answers(_model(name))
    for path, right in _PHOTOGRAPHS.items():
        photograph = _photograph(path)
        if photograph is None:
            print(f"{name}: {path} is not installed")
            continue
        best = np.argsort(chances(photograph[None])[0])[::-1][:3]
        print(f"{name}: {path.rpartition('/')[2]}: classes {best.tolist()}, of {right}")
        if not set(best) & set(right):
            failed.append(f"{name}: {path} is {best.tolist()}")
    judged = {}

    def judge(variant: str, answers: np.ndarray) -> None:
        judged[variant] = loss, accuracy = _judged(answers, labels)
        print(f"{name}: {variant:24} log-loss {loss:.4f}  accuracy {accuracy:.4f}", flush=True)

    judge("as it is", chances(images))
    for variant, see in _wrong_images(name).items():
        judge(variant, chances(see(images)))
    for variant, change in _wrong_models(name).items():
        model = _model(name)
        change(model)
        judge(variant, _answers(model)(images))
    loss, accuracy = judged.pop("as it is")
    better = [v for v, (other, share) in judged.items() if other < loss and share > accuracy]
    failed += [f"{name}: {variant} is no worse" for variant in better]
    return failed + _statistics(name)


def _statistics(name: str) -> list[str]:
    """The failed checks of the inputs of batch normalisations."""
    crops = [crop for path in _CROPPED for crop in _crops(path)]
    if not crops:
        print(f"{name}: no package with photographs is installed")
        return []
    model, moved = _model(name), _model(name)
    _move_padding(moved)
    agreement = []
    for variant, network in (("as it is", model), ("padding moved", moved)):
        mean, deviation = (float(np.median(part)) for part in _agreement(network, np.stack(crops)))
        agreement.append((mean, deviation))
        print(
            f"{name}: {variant:24} statistics of {len(crops)} crops correlate with the stored, "
            f"median of the layers: mean {mean:.3f}, deviation {deviation:.3f}",
            flush=True,
        )
    right, wrong = agreement
    failed = [f"{name}: statistics do not agree"] if min(right) < 0.9 else []
    if any(one <= other for one, other in zip(right, wrong, strict=True)):
        failed.append(f"{name}: statistics agree as well with padding moved")
    return failed


def _model(name: str):
    """The network with its 1000 classes, for images of its own size in -1..1."""
    import keras

    import zoo
    from trainers.training.start import packaged
    from zoo.spec import DataSpec, Field

    side = zoo.describe(name).hparams["resolution"]
    spec = DataSpec({"image": Field((side, side, 3), "float32")}, "classification", 1000)
    keras.backend.clear_session()
    model, values = zoo.get(name).build(spec, **zoo.get(name).hparams), packaged.weights(name)
    for variable in model.weights:
        if variable.path in values:
            variable.assign(values[variable.path])
    return model


def _answers(model) -> Callable:
    """A function: images (N, H, W, 3) in 0..255, which it enlarges -> probabilities (N, 1000)."""
    import tensorflow as tf

    sides = model.input["image"].shape[1:3]

    @tf.function
    def answer(part):
        large = tf.image.resize(tf.cast(part, tf.float32), sides, antialias=True)
        return tf.nn.softmax(model({"image": large * (2 / 255) - 1}, training=False))

    def chances(images: np.ndarray) -> np.ndarray:
        parts = [images[i : i + _BATCH] for i in range(0, len(images), _BATCH)]
        return np.concatenate([answer(tf.constant(part, tf.float32)).numpy() for part in parts])

    return chances


def _judged(chances: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Log-loss and accuracy among the ten classes of CIFAR-10."""
    ten = np.stack([chances[:, list(numbers)].sum(axis=1) for numbers in _CLASSES], axis=1) + 1e-9
    right = ten[np.arange(len(labels)), labels] / ten.sum(axis=1)
    return float(-np.log(right).mean()), float((ten.argmax(axis=1) == labels).mean())


def _wrong_images(name: str) -> dict[str, Callable]:
    """Other pixel scales, as functions whose result the network's own scaling turns into them."""
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    if name == "mobilenet_v2":  # undoes its (pixel - mean) / std
        scales = {
            "scaled to -1..1": lambda image: (image / 127.5 - 1) * std + mean,
            "scaled to 0..1": lambda image: image / 255 * std + mean,
        }
    else:  # undoes (pixel - 127) / 128
        scales = {
            "ImageNet's mean and std": lambda image: (image - mean) / std * 128 + 127,
            "scaled to 0..1": lambda image: image / 255 * 128 + 127,
        }
    return {"blue first": lambda image: image[..., ::-1], **scales}


def _wrong_models(name: str) -> dict[str, Callable]:
    """Small mistakes in a network, whose answers stay plausible."""
    epsilon = 1e-3 if name == "mobilenet_v2" else 1e-5
    return {
        "padding moved": _move_padding,
        f"epsilon {epsilon:g}": lambda model: _set_epsilon(model, epsilon),
    }


def _set_epsilon(model, epsilon: float) -> None:
    for layer in model.layers:
        if layer.name.endswith("_norm"):
            layer.epsilon = epsilon


def _move_padding(model) -> None:
    """Shifts the padding of strided layers.

    Symmetric padding becomes TensorFlow's, and TensorFlow's is reversed; with the latter, odd
    sizes also lose a border.
    """
    import tensorflow as tf

    for layer in model.layers:
        if layer.name.endswith("_pad"):
            layer.padding = ((0, 1), (0, 1))
        elif getattr(layer, "strides", (1, 1)) == (2, 2) and layer.padding == "same":
            zeros = layer.kernel_size[0] - 2  # of an even size, the smaller half comes first
            sides = [[zeros - zeros // 2, zeros // 2]] * 2
            layer.padding = "valid"

            def call(inputs, inner=layer.call, sides=sides):
                return inner(tf.pad(inputs, [[0, 0], *sides, [0, 0]]))

            layer.call = call


def _agreement(model, images: np.ndarray) -> tuple[list[float], list[float]]:
    """By layer, the correlation over channels of stored and measured mean, and of std."""
    import keras
    import tensorflow as tf

    norms = [layer for layer in model.layers if layer.name.endswith("_norm")]
    inner = keras.Model(model.input, [layer.input for layer in norms])
    sides = model.input["image"].shape[1:3]

    @tf.function
    def moments(part):
        large = tf.image.resize(tf.cast(part, tf.float32), sides, antialias=True)
        seen = inner({"image": large * (2 / 255) - 1}, training=False)
        axes = (0, 1, 2)
        return [tf.stack([tf.reduce_mean(x, axes), tf.reduce_mean(x * x, axes)]) for x in seen]

    parts = [images[i : i + _BATCH] for i in range(0, len(images), _BATCH)]
    sums = [np.mean(values, axis=0) for values in zip(*map(moments, parts), strict=True)]
    means, deviations = [], []
    for layer, (mean, square) in zip(norms, sums, strict=True):
        stored = layer.moving_mean.numpy(), np.sqrt(layer.moving_variance.numpy())
        seen = np.sqrt(np.maximum(square - mean**2, 0))
        means.append(float(np.corrcoef(mean, stored[0])[0, 1]))
        deviations.append(float(np.corrcoef(seen, stored[1])[0, 1]))
    return means, deviations


def _cifar10(number: int) -> tuple[np.ndarray, np.ndarray]:
    import pipelines
    from pipelines.storage import tfds

    _, rows, _ = tfds.load(pipelines.get("cifar10"))
    return rows["test"].table["image"][:number], rows["test"].table["label"][:number]


def _opened(path: str) -> Image.Image | None:
    """A photograph inside a package; None: it is not installed."""
    package, _, rest = path.partition("/")
    spec = importlib.util.find_spec(package)
    file = spec and pathlib.Path(spec.submodule_search_locations[0]) / rest
    return Image.open(file).convert("RGB") if file and file.is_file() else None


def _crops(path: str) -> list[np.ndarray]:
    """Random square crops of a photograph, 224 pixels per side; none if it is not installed."""
    image, random = _opened(path), np.random.default_rng(0)
    crops = []
    for _ in range(_CROPS if image else 0):
        side = int(min(image.size) * random.uniform(0.4, 1.0))
        left, top = (int(random.integers(0, size - side + 1)) for size in image.size)
        box = (left, top, left + side, top + side)
        crops.append(np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC, box=box)))
    return crops


def _photograph(path: str) -> np.ndarray | None:
    """The middle square of a photograph inside a package; None: it is not installed."""
    image = _opened(path)
    if image is None:
        return None
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC, box=box))


def _check_order_of_classes() -> None:
    """ValueError: TFDS does not list ImageNet's synsets in the order of their numbers."""
    import tensorflow_datasets as tfds

    folder = pathlib.Path(tfds.__file__).parent / "datasets" / "imagenet2012"
    synsets = (folder / "labels.txt").read_text(encoding="utf-8").split()
    if synsets != sorted(synsets) or synsets[652] != _MILITARY_UNIFORM:
        raise ValueError("TFDS lists the classes of ImageNet in another order")


if __name__ == "__main__":
    app.run(main)
