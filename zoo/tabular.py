"""A network for tables: a linear model, and an MLP over embedded numbers and categories beside it.

The linear model is fitted first (`linear_start`) and the MLP begins near zero: training starts from
logistic or ridge regression, and keeps what the held-out loss says is better.

Number embeddings: Gorishniy et al. 2022, "On Embeddings for Numerical Features in Tabular Deep
Learning". benchmarks/tables_study.py compares the model with boosting and linear models.
"""

import math
import warnings
from collections.abc import Iterator

import keras
import numpy as np
from keras import ops
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

import zoo
from zoo.spec import DataSpec, Recipe

_FEW, _MANY = 102, 302  # values of a category, with missing and unknown
_UNKNOWN = 1  # its id
_CELLS = 10_000_000  # that the linear model is fitted to


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
    ids: keras.KerasTensor, sizes: tuple[int, ...], *, width: int, forgotten: float
) -> list[keras.KerasTensor]:
    """A vector for each category of each column: (B, k) ids to k tensors (B, at most width).

    All begin at zero: a value that training never had stays without effect. Of a column of more
    than a hundred values, training takes a fraction `forgotten` of the rows as unknown, so that
    there is an answer to new ones.
    """
    vectors = []
    for i, size in enumerate(sizes):
        column = ids[:, i]
        if size > _FEW and forgotten:
            kept = keras.layers.Dropout(forgotten, name=f"known{i + 1}")(
                ops.ones_like(column, dtype="float32")
            )
            column = ops.where(kept > 0, column, _UNKNOWN)
        embed = keras.layers.Embedding(size, min(size, width), "zeros", name=f"category{i + 1}")
        vectors.append(embed(column))
    return vectors


def one_hot(ids: keras.KerasTensor, sizes: tuple[int, ...]) -> list[keras.KerasTensor]:
    """Ids (B, k) to k tensors (B, size) of 0 and 1; of over 300 values, missing and unknown."""
    return [
        ops.one_hot(ids[:, i], size if size <= _MANY else _UNKNOWN + 1, dtype="float32")
        for i, size in enumerate(sizes)
    ]


def linear_start(
    model: keras.Model, batches: Iterator[tuple[dict[str, np.ndarray], np.ndarray]]
) -> dict[str, np.ndarray]:
    """Kernel and bias of logistic or ridge regression on what the linear path takes.

    Of many rows, evenly spaced ones with ten million cells are enough.

    Args:
        batches: (inputs, y) of the training rows: classes (B,), labels of 0 or 1 (B, outputs), or
            numbers (B,), which are standardised, as the network's answers are.
    """
    linear, bias = model.get_layer("linear"), model.get_layer("logits").bias
    seen, targets = zip(*batches, strict=True)
    most = max(2000, _CELLS // linear.kernel.shape[0])  # rows, evenly spaced
    y = np.concatenate(targets)
    rows = np.arange(len(y)) if len(y) <= most else np.linspace(0, len(y) - 1, most, dtype=int)
    inputs = {name: np.concatenate([part[name] for part in seen])[rows] for name in seen[0]}
    x = ops.convert_to_numpy(keras.Model(model.input, linear.input)(inputs))
    y = y[rows]
    kernel, start = np.zeros(linear.kernel.shape), np.zeros(bias.shape)
    outputs = len(start)
    if y.ndim == 1 and not np.issubdtype(y.dtype, np.integer):
        standard = (y - y.mean(dtype=np.float64)) / (y.std(dtype=np.float64) or 1.0)
        ridge = Ridge(alpha=1.0).fit(x, standard)
        kernel[:, 0], start[0] = ridge.coef_, ridge.intercept_
    elif y.ndim == 1 and outputs > 1:
        known = np.unique(y)
        kernel[:, known], start[known] = _logistic(x, y)
        # A class without rows is less likely than any of the others.
        start[np.setdiff1d(np.arange(outputs), known)] = start[known].min() - math.log(len(y))
    else:
        for i, label in enumerate(y.reshape(-1, outputs).T):
            of_two, biases = _logistic(x, label)
            kernel[:, i], start[i] = of_two[:, -1] - of_two[:, 0], biases[-1] - biases[0]
    return {
        linear.kernel.path: np.asarray(kernel, np.float32),
        bias.path: np.asarray(start, np.float32).reshape(bias.shape),
    }


def _logistic(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (features, classes) and bias (classes,); zero for a single class."""
    if y.min() == y.max():
        return np.zeros((x.shape[1], 1)), np.zeros(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is a start
        fitted = LogisticRegression(C=1.0, max_iter=1000).fit(x, y)
    kernel, bias = fitted.coef_.T, fitted.intercept_
    if kernel.shape[1] > 1:
        return kernel, bias
    return np.concatenate([-kernel / 2, kernel / 2], axis=1), np.concatenate([-bias / 2, bias / 2])


@zoo.register(
    Recipe(
        pipeline="breast_cancer",
        batch_size=0,
        epochs=0,
        optimizer="adamw",
        learning_rate=1e-3,
        schedule="cosine",
        weight_decay=1.0,
        ema=0.98,
        lr_scale=(("^linear/", 0.1),),  # it is fitted already
        early_stopping=16,
        keep="best",
        monitor="loss",
        precision="float32",
    ),
    name="tabular",
    tiny={"hidden": (16, 8), "width": 4, "bins": 6, "frequencies": 3, "dropout": 0.1},
    inputs="columns",
    adapt=linear_start,
    head=("logits", "linear"),
    parameters=185_405,
)
def tabular(
    spec: DataSpec,
    *,
    hidden: tuple[int, ...] = (256, 256),
    dropout: float = 0.25,
    bins: int = 32,
    width: int = 12,
    frequencies: int = 0,
    forgotten: float = 0.05,
) -> keras.Model:
    """Embedded numbers and categories of a table, an MLP over them and a linear path beside it.

    Args:
        hidden: units of each hidden layer.
        dropout: fraction dropped after each hidden layer.
        bins: pieces of the function of each number.
        width: numbers that each column becomes; a category of fewer values becomes as many.
        frequencies: of the periodic embedding of each number; 0: there is none.
        forgotten: fraction of training rows whose category counts as unknown, of columns of more
            than a hundred values.

    Raises:
        ValueError: the data is not in the input form `columns`.
    """
    numeric, categorical = {"numbers", "ranks", "missing"}, {"categories"}
    if set(spec.inputs) not in (numeric, categorical, numeric | categorical):
        raise ValueError(f"tabular takes the input form columns, the data has {dict(spec.inputs)}")

    inputs = zoo.keras_inputs(spec)
    parts, plain = [], []  # of the MLP and of the linear path, (B, some width) each
    if "numbers" in inputs:
        numbers, ranks, missing = (inputs[name] for name in ("numbers", "ranks", "missing"))
        flat = keras.layers.Reshape((numbers.shape[1] * width,), name="flatten_bins")
        x = piecewise_linear(ranks, missing, bins=bins, width=width)
        parts += [numbers, missing, flat(x)]
        plain += [numbers, missing]
        if frequencies:
            x = periodic(numbers, frequencies=frequencies, width=width, name="periodic")
            parts.append(keras.layers.Reshape(flat.target_shape, name="flatten_periodic")(x))
    if "categories" in inputs:
        sizes = spec.inputs["categories"].ids
        parts += embed_categories(inputs["categories"], sizes, width=width, forgotten=forgotten)
        plain += one_hot(inputs["categories"], sizes)
    x = _joined(parts, "join")  # (B, features)
    for i, units in enumerate(hidden, start=1):
        x = keras.layers.Dense(units, activation="relu", name=f"dense{i}")(x)  # (B, units)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"dropout{i}")(x)
    linear = keras.layers.Dense(
        spec.num_outputs, use_bias=False, kernel_initializer="zeros", dtype="float32", name="linear"
    )
    # Nearly zero: what the MLP adds to the linear model has to be learned.
    small = keras.initializers.RandomNormal(stddev=1e-3)
    head = keras.layers.Dense(
        spec.num_outputs, kernel_initializer=small, dtype="float32", name="logits"
    )
    plain = _joined(plain, "plain", dtype="float32")  # (B, features)
    return keras.Model(inputs, head(x) + linear(plain), name="tabular")  # (B, outputs)


def _joined(parts: list[keras.KerasTensor], name: str, **kwargs) -> keras.KerasTensor:
    return parts[0] if len(parts) == 1 else keras.layers.Concatenate(name=name, **kwargs)(parts)
