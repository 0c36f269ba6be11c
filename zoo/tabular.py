"""A network for tables: embedded numbers and categories, an MLP, and a linear model beside it.

Number embeddings: Gorishniy et al. 2022, "On Embeddings for Numerical Features in Tabular Deep
Learning". benchmarks/tables_study.py compares the model with boosting and linear models.
"""

import math

import keras
from keras import ops

import zoo
from zoo.spec import DataSpec, Recipe


def piecewise_linear(
    ranks: keras.KerasTensor, missing: keras.KerasTensor, *, bins: int, width: int
) -> keras.KerasTensor:
    """A piecewise-linear function of each number: ranks (B, n) to (B, n, width).

    A rank r among the training rows has filled the bins below it, clip(bins r - t, 0, 1) of each
    bin t; a missing number has filled none.
    """
    filled = ops.clip(bins * ranks[..., None] - ops.arange(bins, dtype="float32"), 0.0, 1.0)
    filled = filled * (1.0 - missing)[..., None]  # (B, n, bins)
    normal = keras.initializers.RandomNormal(stddev=0.05)
    shape = (ranks.shape[1], width)
    embed = keras.layers.EinsumDense("bnt,ntw->bnw", shape, kernel_initializer=normal, name="bins")
    return embed(filled)


def periodic(
    numbers: keras.KerasTensor, *, frequencies: int, width: int, name: str
) -> keras.KerasTensor:
    """Sines of learned frequencies and phases of each number: (B, n) to (B, n, width)."""
    n = numbers.shape[1]
    wave = keras.layers.EinsumDense(
        "bn,nf->bnf",
        (n, frequencies),
        bias_axes="nf",
        kernel_initializer=keras.initializers.RandomNormal(stddev=1.0),
        bias_initializer=keras.initializers.RandomUniform(-math.pi, math.pi),
        name=f"{name}_waves",
    )
    x = ops.sin(wave(numbers))  # (B, n, frequencies)
    return keras.layers.EinsumDense("bnf,nfw->bnw", (n, width), name=name)(x)


def embed_categories(
    ids: keras.KerasTensor, sizes: tuple[int, ...], *, width: int
) -> list[keras.KerasTensor]:
    """A vector for each category of each column: (B, k) ids to k tensors (B, at most width).

    All begin at zero: a value that training never had stays without effect.
    """
    return [
        keras.layers.Embedding(size, min(size, width), "zeros", name=f"category{i + 1}")(ids[:, i])
        for i, size in enumerate(sizes)
    ]


@zoo.register(
    Recipe(
        pipeline="breast_cancer",
        batch_size=0,
        epochs=0,
        optimizer="adamw",
        learning_rate=1e-3,
        schedule="cosine",
        weight_decay=1.0,
        early_stopping=16,
        keep="best",
        monitor="loss",
        precision="float32",
    ),
    name="tabular",
    tiny={"hidden": (16, 8), "width": 4, "bins": 6, "frequencies": 3, "dropout": 0.1},
    inputs="columns",
    head=("logits", "linear"),
    parameters=185_765,
)
def tabular(
    spec: DataSpec,
    *,
    hidden: tuple[int, ...] = (256, 256),
    dropout: float = 0.25,
    bins: int = 32,
    width: int = 12,
    frequencies: int = 0,
) -> keras.Model:
    """Embedded numbers and categories of a table, an MLP over them and a linear path beside it.

    Args:
        hidden: units of each hidden layer.
        dropout: fraction dropped after each hidden layer.
        bins: pieces of the function of each number.
        width: numbers that each column becomes; a category of fewer values becomes as many.
        frequencies: of the periodic embedding of each number; 0: there is none.

    Raises:
        ValueError: the data is not in the input form `columns`.
    """
    numeric, categorical = {"numbers", "ranks", "missing"}, {"categories"}
    if set(spec.inputs) not in (numeric, categorical, numeric | categorical):
        raise ValueError(f"tabular takes the input form columns, the data has {dict(spec.inputs)}")

    inputs = zoo.keras_inputs(spec)
    parts = []  # (B, some width) each
    if "numbers" in inputs:
        numbers, ranks, missing = (inputs[name] for name in ("numbers", "ranks", "missing"))
        flat = keras.layers.Reshape((numbers.shape[1] * width,), name="flatten_bins")
        x = piecewise_linear(ranks, missing, bins=bins, width=width)
        parts += [numbers, missing, flat(x)]
        if frequencies:
            x = periodic(numbers, frequencies=frequencies, width=width, name="periodic")
            parts.append(keras.layers.Reshape(flat.target_shape, name="flatten_periodic")(x))
    if "categories" in inputs:
        sizes = spec.inputs["categories"].ids
        parts += embed_categories(inputs["categories"], sizes, width=width)
    embedded = parts[0] if len(parts) == 1 else keras.layers.Concatenate(name="join")(parts)
    x = embedded  # (B, features)
    for i, units in enumerate(hidden, start=1):
        x = keras.layers.Dense(units, activation="relu", name=f"dense{i}")(x)  # (B, units)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"dropout{i}")(x)
    # From zero, so that a table which a linear model fits is not worse off for the MLP.
    linear = keras.layers.Dense(
        spec.num_outputs, use_bias=False, kernel_initializer="zeros", dtype="float32", name="linear"
    )
    head = keras.layers.Dense(spec.num_outputs, dtype="float32", name="logits")
    return keras.Model(inputs, head(x) + linear(embedded), name="tabular")  # (B, outputs)
