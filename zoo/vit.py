"""Vision Transformers (Dosovitskiy et al. 2020, arXiv 2010.11929): patches are the tokens."""

import keras
from keras import ops

import zoo
from zoo.layers import attention, check_heads, check_image, positions_of
from zoo.spec import DataSpec, Recipe

_EPSILON = 1e-6  # of all layer norms


def check_patches(spec: DataSpec, model: str, patch: int) -> None:
    """ValueError unless the data is one image whose sides are multiples of `patch` pixels."""
    check_image(spec, model, patch)
    height, width, channels = spec.inputs["image"].shape
    if height % patch or width % patch:
        raise ValueError(
            f"{model} takes images whose sides are multiples of {patch} pixels, its patch, "
            f"received {height}x{width}x{channels}"
        )


def embed(image: keras.KerasTensor, *, width: int, patch: int, token: bool) -> keras.KerasTensor:
    """Embedded patches plus positions: (B, H, W, C) to (B, T, width), T = H W / patch^2.

    Args:
        token: whether a trained class token precedes the patches, so that T is one more.
    """
    patch_embedding = keras.layers.Conv2D(
        width, patch, strides=patch, kernel_initializer="lecun_normal", name="patch_embedding"
    )
    x = patch_embedding(image)  # (B, H / patch, W / patch, width)
    x = keras.layers.Reshape((-1, width), name="patches")(x)  # (B, T, width)
    if token:
        zero = ops.zeros_like(x[:, :1, 0], dtype="int32")  # (B, 1)
        class_token = keras.layers.Embedding(1, width, "zeros", name="class_token")(zero)
        x = ops.concatenate([class_token, x], axis=1)  # (B, 1 + T, width)
    normal = keras.initializers.TruncatedNormal(stddev=0.02)
    position = keras.layers.Embedding(x.shape[1], width, normal, name="position_embedding")
    return x + position(positions_of(ops.zeros_like(x[..., 0], dtype="int32")))


def block(
    x: keras.KerasTensor, *, num_heads: int, mlp_dim: int, path_dropout: float, name: str
) -> keras.KerasTensor:
    """Pre-norm attention and MLP, each added to its input (section 3.1)."""

    def kept(y: keras.KerasTensor, part: int) -> keras.KerasTensor:
        if not path_dropout:
            return y
        noise_shape = (None, 1, 1)  # an image's whole branch or nothing (Huang et al. 2016)
        layer = keras.layers.Dropout(path_dropout, noise_shape, name=f"{name}_path_dropout{part}")
        return layer(y)

    y = keras.layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_attention_norm")(x)
    y = attention(y, None, num_heads=num_heads, dropout=0.0, name=f"{name}_attention")
    x = x + kept(y, 1)
    y = keras.layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_dense_norm")(x)
    y = keras.layers.Dense(mlp_dim, activation="gelu", name=f"{name}_dense1")(y)  # (B, T, mlp_dim)
    return x + kept(keras.layers.Dense(x.shape[-1], name=f"{name}_dense2")(y), 2)


def encode(
    x: keras.KerasTensor, *, num_layers: int, num_heads: int, mlp_dim: int, path_dropout: float
) -> keras.KerasTensor:
    """All blocks and the last norm: (B, T, width) to the same; also for a subset of the patches.

    Args:
        path_dropout: rate of the last block; it rises linearly from 0 at the first.
    """
    for i in range(num_layers):
        rate = path_dropout * i / max(1, num_layers - 1)
        sizes = {"num_heads": num_heads, "mlp_dim": mlp_dim, "path_dropout": rate}
        x = block(x, **sizes, name=f"block{i + 1}")
    return keras.layers.LayerNormalization(epsilon=_EPSILON, name="encoded")(x)


_RECIPE = Recipe(
    pipeline="cifar10",
    batch_size=128,
    epochs=50,
    optimizer="adamw",
    learning_rate=1e-3,
    schedule="one_cycle",
    weight_decay=0.05,
    clip_norm=1.0,
    label_smoothing=0.1,
)


@zoo.register(
    _RECIPE,
    name="vit_mini4",
    tiny={
        "patch": 16,
        "width": 8,
        "num_layers": 2,
        "num_heads": 2,
        "mlp_dim": 12,
        "path_dropout": 0.1,
    },
    head=("logits",),
    positions=("position_embedding",),
    grids=("position_embedding",),
    features="features",
    parameters=810_890,
    patch=4,
    width=128,
    num_layers=6,
    num_heads=4,
    mlp_dim=256,
    pool="mean",
)
@zoo.register(
    _RECIPE,
    name="vit_ti16",
    tiny={"width": 8, "num_layers": 2, "num_heads": 2, "mlp_dim": 12, "path_dropout": 0.1},
    head=("logits",),
    positions=("position_embedding",),
    grids=("position_embedding",),
    features="features",
    parameters=5_489_482,
)
@zoo.register(
    _RECIPE,
    name="vit_s16",
    tiny={"width": 8, "num_layers": 2, "num_heads": 2, "mlp_dim": 12, "path_dropout": 0.1},
    head=("logits",),
    positions=("position_embedding",),
    grids=("position_embedding",),
    features="features",
    parameters=21_595_786,
    width=384,
    num_heads=6,
    mlp_dim=1536,
)
@zoo.register(
    _RECIPE,
    name="vit_b16",
    tiny={"width": 8, "num_layers": 2, "num_heads": 2, "mlp_dim": 12, "path_dropout": 0.1},
    head=("logits",),
    positions=("position_embedding",),
    grids=("position_embedding",),
    features="features",
    parameters=85_658_890,
    width=768,
    num_heads=12,
    mlp_dim=3072,
)
def vit(
    spec: DataSpec,
    *,
    patch: int = 16,
    width: int = 192,
    num_layers: int = 12,
    num_heads: int = 3,
    mlp_dim: int = 768,
    path_dropout: float = 0.0,
    pool: str = "token",
) -> keras.Model:
    """A Vision Transformer over patches of the image, pooled by a class token or by their mean.

    Args:
        patch: pixels per side of a patch; it divides the image's sides.
        width: of the embeddings and of every block; a multiple of `num_heads`.
        mlp_dim: units of the hidden layer of each block's MLP.
        path_dropout: stochastic depth: fraction of images that skip the last block's branches in a
            training step, fewer in earlier blocks (Huang et al. 2016; 0.1 to fine-tune on few
            images).
        pool: token (a trained vector before the patches) or mean (of the patches).

    Raises:
        ValueError: the data is not one image, `patch` does not divide it, `num_heads` does not
            divide `width`, or `pool` is unknown.
    """
    check_patches(spec, "vit", patch)
    check_heads(width, num_heads)
    if pool not in ("token", "mean"):
        raise ValueError(f"pool {pool!r} is none of token, mean")

    inputs = zoo.keras_inputs(spec)
    x = embed(inputs["image"], width=width, patch=patch, token=pool == "token")  # (B, T, width)
    sizes = {"num_layers": num_layers, "num_heads": num_heads, "mlp_dim": mlp_dim}
    x = encode(x, **sizes, path_dropout=path_dropout)  # (B, T, width)
    x = x[:, 0] if pool == "token" else ops.mean(ops.cast(x, "float32"), axis=1)  # (B, width)
    x = keras.layers.Identity(name="features")(x)
    logits = keras.layers.Dense(spec.num_outputs, dtype="float32", name="logits")(x)  # (B, classes)
    return keras.Model(inputs, logits, name="vit")
