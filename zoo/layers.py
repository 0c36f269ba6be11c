"""Layers and blocks that two or more families share."""

import keras
from keras import ops

from zoo.spec import DataSpec, Field

_IMAGENET_MEAN = (123.68, 116.779, 103.939)  # red, green, blue


def field_of_tokens(spec: DataSpec, model: str) -> Field:
    """The input field `tokens`. ValueError: the data has none; the message names the model."""
    field = spec.inputs.get("tokens")
    if field is None or not (field.ids and field.length):
        raise ValueError(f"{model} takes an input of tokens, the data has {dict(spec.inputs)}")
    return field


def check_image(spec: DataSpec, model: str, smallest: int) -> None:
    """ValueError unless the data is one image of at least `smallest` x `smallest` pixels."""
    if list(spec.inputs) != ["image"]:
        raise ValueError(f"{model} takes one input 'image', the data has {sorted(spec.inputs)}")
    height, width, channels = spec.inputs["image"].shape
    if min(height or 0, width or 0) < smallest:
        raise ValueError(
            f"{model} takes images of {smallest}x{smallest} or more, "
            f"received {height}x{width}x{channels}"
        )


def check_heads(width: int, num_heads: int, *, rotary: bool = False) -> None:
    """ValueError unless both are positive and heads divide the width, into even parts if rotary."""
    if min(width, num_heads) < 1:
        raise ValueError(f"width {width} and {num_heads} heads: expected 1 or more of each")
    if width % num_heads:
        raise ValueError(f"width {width} does not divide over {num_heads} heads")
    if rotary and width // num_heads % 2:
        raise ValueError(f"rotary heads have an even width, not {width} over {num_heads} heads")


def attention(
    x: keras.KerasTensor,
    mask: keras.KerasTensor | None,
    *,
    num_heads: int,
    dropout: float,
    name: str,
    rotary: bool = False,
    use_bias: bool = True,
    initializer: keras.initializers.Initializer | str = "glorot_uniform",
) -> keras.KerasTensor:
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2): (B, T, width) to the same.

    Args:
        mask: (B, T) bool, False at padding, which gets no attention; None: nothing is padding.
        rotary: rotate queries and keys by their positions (`rotate`).
        use_bias: whether queries, keys and values have a bias; the output always has one.
        initializer: of the kernels.
    """
    width = x.shape[-1]
    head_dim = width // num_heads
    project = keras.layers.Dense(
        3 * width, None, use_bias, initializer, name=f"{name}_query_key_value"
    )
    qkv = project(x)  # (B, T, 3 * width)
    qkv = keras.layers.Reshape((-1, 3, num_heads, head_dim), name=f"{name}_split")(qkv)
    qkv = ops.transpose(qkv, (2, 0, 3, 1, 4))  # (3, B, num_heads, T, head_dim)
    # Unstacked, not sliced: the backward pass of three slices reads the whole tensor three times.
    query, key, value = ops.unstack(qkv, 3)
    if rotary:
        query, key = rotate(query), rotate(key)
    query = query * head_dim**-0.5
    scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))  # (B, num_heads, T, T)
    scores = ops.cast(scores, "float32")  # the softmax is in float32 too
    if mask is not None:  # a masked position gets a weight of exactly zero
        scores = scores + ops.cast(ops.logical_not(mask), "float32")[:, None, None, :] * -1e9
    weights = ops.cast(ops.softmax(scores), value.dtype)
    if dropout:
        weights = keras.layers.Dropout(dropout, name=f"{name}_dropout")(weights)
    y = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))  # (B, T, num_heads, head_dim)
    y = keras.layers.Reshape((-1, width), name=f"{name}_join")(y)  # (B, T, width)
    return keras.layers.Dense(width, kernel_initializer=initializer, name=f"{name}_output")(y)


def rotate(x: keras.KerasTensor) -> keras.KerasTensor:
    """Rotary positions (Su et al. 2021, section 3.2.2): (B, heads, T, head_dim) to the same.

    Components i and i + head_dim / 2 are rotated by position / 10000^(2 i / head_dim), so that the
    product of two vectors depends on the distance between their positions.
    """
    half = x.shape[-1] // 2
    positions = ops.cumsum(ops.ones_like(x[:1, :1, :, :1], dtype="float32"), axis=2) - 1.0
    frequencies = 10_000.0 ** (-ops.arange(half, dtype="float32") / half)
    angles = positions * frequencies  # (1, 1, T, head_dim / 2)
    cos, sin = (ops.cast(function(angles), x.dtype) for function in (ops.cos, ops.sin))
    first, second = x[..., :half], x[..., half:]
    return ops.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def positions_of(tokens: keras.KerasTensor) -> keras.KerasTensor:
    """Positions of tokens, counted from 0: (B, T) to (1, T).

    Computed from the tokens, since a layer applied to a constant is neither trained nor saved.
    """
    return ops.cumsum(ops.ones_like(tokens[:1, :]), axis=1) - 1


def gather(x: keras.KerasTensor, positions: keras.KerasTensor) -> keras.KerasTensor:
    """The vectors at the given positions of each row: (B, T, width), (B, M) to (B, M, width)."""
    # `take_along_axis` with its gradient is seven times slower: 15 ms instead of 2 for 38 positions
    # of (32, 256, 256).
    length = ops.sum(ops.ones_like(x[:1, :, :1], dtype="int32"))  # T, which is not static
    row = ops.cumsum(ops.ones_like(positions[:, :1]), axis=0) - 1  # (B, 1)
    return ops.take(ops.reshape(x, (-1, x.shape[-1])), row * length + positions, axis=0)


@keras.saving.register_keras_serializable("zoo")
class Bias(keras.layers.Layer):
    """Adds a trained bias to each component of (..., width)."""

    def build(self, shape):
        self.bias = self.add_weight(name="bias", shape=shape[-1:], initializer="zeros")

    def call(self, inputs):
        return inputs + self.bias


def token_logits(
    x: keras.KerasTensor, embedding: keras.layers.ReversibleEmbedding, *, name: str
) -> keras.KerasTensor:
    """Logits of all tokens: the product with the embedding, transposed, and a bias.

    (B, M, width) to (B, M, ids) in float32 (Press and Wolf 2017).
    """
    logits = embedding(x, reverse=True)  # the largest product, so in the network's precision
    return Bias(dtype="float32", name=name)(ops.cast(logits, "float32"))


def enlarged_image(
    spec: DataSpec, inputs: dict[str, keras.KerasTensor], resolution: int, model: str
) -> keras.KerasTensor:
    """The image as a network for photographs takes it: three channels, and large enough.

    (B, H, W, 1 or 3) to (B, H', W', 3) in float32: an image whose shorter side has fewer pixels
    than `resolution` is enlarged to it by bilinear interpolation; a larger one is unchanged.

    Raises:
        ValueError: the data is not one image of known size; the message names the model.
    """
    check_image(spec, model, 1)
    height, width, channels = spec.inputs["image"].shape
    if channels not in (1, 3):
        raise ValueError(f"{model} takes images of 1 or 3 channels, received {channels}")
    x, shorter = inputs["image"], min(height, width)
    if shorter < resolution:
        sides = [round(side * resolution / shorter) for side in (height, width)]
        x = keras.layers.Resizing(*sides, dtype="float32", name="enlarge")(x)
    return keras.layers.Concatenate(name="grey_to_rgb")([x] * 3) if channels == 1 else x


def published_pixels(x: keras.KerasTensor, pixels: str) -> keras.KerasTensor:
    """Pixels as published weights expect them: (B, H, W, C) from -1 to 1 to the same shape.

    Args:
        pixels: plain (unchanged) or caffe: from 0 to 255 minus the mean colour of ImageNet, as the
            weights of ResNet and VGG in keras.applications expect, but in the order RGB.

    Raises:
        ValueError: `pixels` is unknown, or the image has no colour.
    """
    if pixels == "plain":
        return x
    if pixels != "caffe":
        raise ValueError(f"pixels {pixels!r} is none of plain, caffe")
    if x.shape[-1] != 3:
        raise ValueError(f"pixels=caffe takes images of 3 channels, received {x.shape[-1]}")
    offset = [127.5 - mean for mean in _IMAGENET_MEAN]
    return keras.layers.Rescaling(127.5, offset=offset, dtype="float32", name="caffe_pixels")(x)


def local_response(x: keras.KerasTensor, *, depth: int = 5) -> keras.KerasTensor:
    """Local response normalisation (Krizhevsky et al. 2012, section 3.3).

    Each x becomes x / (2 + 1e-4 s)^0.75, s the sum of squares over the `depth` channels around it:
    (B, H, W, C) to the same shape, computed in float32.
    """
    squares = ops.square(ops.cast(x, "float32"))
    side = depth // 2
    # The sum over neighbouring channels is a difference of cumulative sums.
    total = ops.cumsum(ops.pad(squares, [[0, 0], [0, 0], [0, 0], [side + 1, side]]), axis=-1)
    near = total[..., depth:] - total[..., :-depth]
    return ops.cast(ops.cast(x, "float32") * ops.power(2.0 + 1e-4 * near, -0.75), x.dtype)
