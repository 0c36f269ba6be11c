"""The signature for image files: bytes instead of pixels, decoded by the model.

TensorFlow's decoders read JPEG, PNG and the first frame of GIF. They ignore the orientation that a
camera writes into EXIF, and transparency: where these matter, decode the file yourself and send
pixels.
"""

from collections.abc import Callable, Mapping

import tensorflow as tf

from pipelines.core.prepared import Prepared
from trainers.tasks.registry import Batch, Signature
from zoo.spec import Field

SIGNATURE = "image_bytes"
_ARGUMENT = "image_bytes"  # TensorFlow Serving takes {"b64": ...} for names ending in _bytes


def signature(
    prepared: Prepared, answer: Callable[[Mapping[str, tf.Tensor]], dict[str, tf.Tensor]]
) -> Signature | None:
    """The signature; None: the data is not one image of any size and 8 bits.

    Args:
        answer: inputs of the model -> its named outputs.
    """
    raw = prepared.raw.items()
    images = [name for name, f in raw if (f.shape, f.dtype) == ((None, None, 3), "uint8")]
    if not images or len(prepared.raw) > 1:
        return None
    [name] = images
    inputs = {
        key: tf.TensorSpec(field.shape, field.dtype)
        for key, field in prepared.serving_inputs.items()
    }

    def decoded(content: tf.Tensor) -> dict[str, tf.Tensor]:
        # The default is a faster, coarser inverse cosine transform than Pillow's.
        pixels = tf.cond(
            tf.strings.substr(content, 0, 4) == b"GIF8",  # `decode_jpeg` refuses several frames
            lambda: tf.io.decode_gif(content)[0],
            lambda: tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE"),
        )
        made = prepared.preprocess({name: pixels[None]})
        return {key: tf.ensure_shape(made[key][0], one.shape) for key, one in inputs.items()}

    def image_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(tf.map_fn(decoded, image_bytes, fn_output_signature=inputs))

    def arguments(batch: Batch) -> dict[str, tf.Tensor]:
        files = tf.map_fn(tf.io.encode_png, batch.raw[name], fn_output_signature=tf.string)
        return {_ARGUMENT: files}

    return Signature(image_bytes, {_ARGUMENT: Field((), "string")}, arguments)
