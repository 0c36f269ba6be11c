"""The signatures of networks that were trained without labels: images to features."""

from collections.abc import Callable, Mapping

import tensorflow as tf

from trainers.serving import image_bytes
from trainers.serving.signatures import raw_fields
from trainers.tasks.registry import Signature


def signatures(encode: Callable, prepared) -> dict[str, Signature]:
    """`serving_default`, the features of each image and the same with length 1, and `image_bytes`.

    The dot product of two directions is the cosine of the angle between them: how similar two
    images are to the network. If images may have any size, `image_bytes` takes their files instead.

    Args:
        encode: what `preprocess` returns -> features (B, width).
    """

    def answer(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        features = tf.cast(encode(inputs), tf.float32)
        return {"features": features, "direction": tf.math.l2_normalize(features, axis=1)}

    def serving_default(**raw: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(prepared.preprocess(raw))

    made = {"serving_default": Signature(serving_default, dict(prepared.raw), raw_fields)}
    of_bytes = image_bytes.signature(prepared, answer)
    return made if of_bytes is None else {**made, image_bytes.SIGNATURE: of_bytes}
