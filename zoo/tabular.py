"""A network for tables: the sum of a linear model and an MLP over embedded columns.

The linear model is fitted first (`linear_start`) and the MLP starts near zero, so training starts
from logistic or ridge regression, and keeps the weights with the lowest held-out loss.

Number embeddings: Gorishniy et al. 2022, "On Embeddings for Numerical Features in Tabular Deep
Learning". benchmarks/tables_study.py compares the model with boosting and linear models.
"""

import math
import warnings
from collections.abc import Iterator

import keras
import numpy as np
from keras import ops
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV

import zoo
from zoo import tabular_words
from zoo.spec import DataSpec, Recipe

_NUMERIC = ("numbers", "ranks", "missing")
_FEW, _MANY = 102, 302  # values of a categorical column, including missing and unknown
_UNKNOWN = 1  # id of an unknown value
_CELLS = 10_000_000  # most cells (rows x features) that the linear model is fitted to
_PENALTIES = np.logspace(-2, 4, 13)  # of ridge regression
_FEW_CELLS = 1_000_000  # to choose the penalty on: the best does not grow with the rows


def piecewise_linear(
    ranks: keras.KerasTensor, missing: keras.KerasTensor, *, bins: int, width: int
) -> keras.KerasTensor:
    """A piecewise-linear function of each number: ranks (B, n) to (B, n, width).

    A rank r among the training rows fills the bins below it, bin t by clip(bins r - t, 0, 1); a
    missing number fills none.
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

    All start at zero, so that a value that never occurs in training has no effect. In a column of
    more than a hundred values, training replaces a fraction `forgotten` of them by unknown, so that
    the network learns an answer for new ones.
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
    """Ids (B, k) to k one-hot tensors (B, size); over 300 values, of missing and unknown only."""
    return [
        ops.one_hot(ids[:, i], size if size <= _MANY else _UNKNOWN + 1, dtype="float32")
        for i, size in enumerate(sizes)
    ]


def linear_start(
    model: keras.Model, batches: Iterator[tuple[dict[str, np.ndarray], np.ndarray]]
) -> dict[str, np.ndarray]:
    """Kernel and bias of logistic or ridge regression on the inputs of the linear path.

    Of many rows it uses evenly spaced ones, with ten million cells.

    Args:
        batches: (inputs, y) of the training rows: classes (B,), labels of 0 or 1 (B, outputs), or
            numbers (B,), which are standardised, as the network's outputs are.
    """
    linear, bias = model.get_layer("linear"), model.get_layer("logits").bias
    parts, targets = zip(*batches, strict=True)
    width = linear.kernel.shape[0] + parts[0].get("words", np.zeros((1, 0)))[0].size
    most = max(2000, _CELLS // width)  # rows, evenly spaced
    y = np.concatenate(targets)
    rows = np.arange(len(y)) if len(y) <= most else np.linspace(0, len(y) - 1, most, dtype=int)
    inputs = {name: np.concatenate([part[name] for part in parts])[rows] for name in parts[0]}
    x = ops.convert_to_numpy(keras.Model(model.input, linear.input)(inputs))
    y, start = y[rows], {}
    if "words" in inputs:
        table = model.get_layer("linear_words").embeddings
        counts = tabular_words.counts(inputs["words"], table.shape[0] // inputs["words"].shape[1])
        kernel, biases, scores = tabular_words.fit_beside(_fitted, x, counts, y, bias.shape[0])
        start[table.path] = np.asarray(scores, np.float32)
    else:
        kernel, biases = _fitted(x, y, bias.shape[0])
    return {
        **start,
        linear.kernel.path: np.asarray(kernel, np.float32),
        bias.path: np.asarray(biases, np.float32).reshape(bias.shape),
    }


def _fitted(x: np.ndarray, y: np.ndarray, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (features, outputs) and bias (outputs,), by the kind of task that `y` shows."""
    kernel, start = np.zeros((x.shape[1], outputs)), np.zeros(outputs)
    if y.ndim == 1 and not np.issubdtype(y.dtype, np.integer):
        standard = (y - y.mean(dtype=np.float64)) / (y.std(dtype=np.float64) or 1.0)
        ridge = Ridge(alpha=_penalty(x, standard)).fit(x, standard)
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
    return kernel, start


def _penalty(x: np.ndarray | sparse.csr_matrix, y: np.ndarray) -> float:
    """The penalty of ridge regression with the lowest leave-one-out error; 1 if there are words.

    A lower penalty errs most on rows far from all others: on ames it costs 0.01 r2.
    """
    if sparse.issparse(x):
        return 1.0
    some = slice(None, None, 1 + x.size // _FEW_CELLS)
    return RidgeCV(_PENALTIES).fit(x[some], y[some]).alpha_


def _logistic(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (features, classes) and bias (classes,); zero for a single class."""
    if y.min() == y.max():
        return np.zeros((x.shape[1], 1)), np.zeros(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # these are only initial weights
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
        learning_rate=3e-3,
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
    tiny={"members": 2, "hidden": (16, 8), "width": 4, "bins": 6, "frequencies": 3, "dropout": 0.1},
    inputs="columns",
    adapt=linear_start,
    head=("logits", "linear"),
    parameters=196_925,
)
def tabular(
    spec: DataSpec,
    *,
    members: int = 1,
    hidden: tuple[int, ...] = (256, 256),
    dropout: float = 0.25,
    bins: int = 64,
    width: int = 12,
    frequencies: int = 0,
    forgotten: float = 0.05,
) -> keras.Model:
    """MLPs over embedded numbers, categories and words of a table, plus a linear path.

    Its output is (B, outputs), or (B, members, outputs) with several members.

    Args:
        members: MLPs over the same embeddings, each trained with its own loss and combined in
            predictions; they share the linear path.
        hidden: units of each hidden layer of a member.
        dropout: fraction dropped after each hidden layer.
        bins: pieces of the function of each number.
        width: components of each column's embedding; fewer for a column with fewer categories.
        frequencies: of the periodic embedding of each number; 0 leaves it out.
        forgotten: fraction of training rows whose category counts as unknown, in columns of more
            than a hundred values.

    Raises:
        ValueError: no members, or the data is not in the input form `columns`.
    """
    _check_form(spec)
    if members < 1:
        raise ValueError(f"tabular has at least one member, received members={members}")
    inputs = zoo.keras_inputs(spec)
    # Inputs of the MLP and of the linear path, (B, some width) each, and terms of the logits.
    parts, plain, direct = [], [], []
    if "numbers" in inputs:
        numbers, ranks, missing = (inputs[name] for name in _NUMERIC)
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
    if "words" in inputs:
        means, present, scores = tabular_words.embed(inputs["words"], spec, width=width)
        parts, plain, direct = [*parts, means], [*plain, present], [scores]
    x = _mlp(_joined(parts, "join"), spec.num_outputs, members, hidden=hidden, dropout=dropout)
    linear = keras.layers.Dense(
        spec.num_outputs, use_bias=False, kernel_initializer="zeros", dtype="float32", name="linear"
    )
    linear = sum(direct, start=linear(_joined(plain, "plain", dtype="float32")))  # (B, outputs)
    return keras.Model(inputs, x + (linear if members == 1 else linear[:, None]), name="tabular")


def _mlp(
    x: keras.KerasTensor, outputs: int, members: int, *, hidden: tuple[int, ...], dropout: float
) -> keras.KerasTensor:
    """An MLP, or one for each member: (B, features) to (B, outputs) or (B, members, outputs)."""
    for i, units in enumerate(hidden, start=1):
        x = _dense(x, units, members, activation="relu", name=f"dense{i}")
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"dropout{i}")(x)
    # Nearly zero: what the MLP adds to the linear model has to be learned.
    small = keras.initializers.RandomNormal(stddev=1e-3)
    head = {"kernel_initializer": small, "dtype": "float32", "name": "logits"}
    return _dense(x, outputs, members, **head)


def _dense(x: keras.KerasTensor, units: int, members: int, **options) -> keras.KerasTensor:
    """A dense layer, or one for each member: (B, features) or (B, members, features) to units."""
    if members == 1:
        return keras.layers.Dense(units, **options)(x)
    # Glorot's variance for each of the kernels (members, features, units).
    glorot = keras.initializers.VarianceScaling(members, "fan_avg", "uniform")
    equation = "bi,kio->bko" if len(x.shape) == 2 else "bki,kio->bko"
    return keras.layers.EinsumDense(
        equation, (members, units), bias_axes="o", **{"kernel_initializer": glorot, **options}
    )(x)


def _check_form(spec: DataSpec) -> None:
    names, numeric, others = {*spec.inputs}, {*_NUMERIC}, {"categories", "words"}
    if not names or names & numeric not in (set(), numeric) or names - numeric - others:
        raise ValueError(f"tabular takes the input form columns, the data has {dict(spec.inputs)}")


def _joined(parts: list[keras.KerasTensor], name: str, **kwargs) -> keras.KerasTensor:
    return parts[0] if len(parts) == 1 else keras.layers.Concatenate(name=name, **kwargs)(parts)
