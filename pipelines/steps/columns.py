"""The input form `columns` of tables: numbers, their ranks, missing cells and category ids apart.

A column of whole numbers whose values say more than their order does, such as the number of a
school, is a category beside the number (codes.py).
"""

import dataclasses
import logging
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from pipelines.core.pipeline import Form, Part, Rows
from pipelines.steps import cells, codes, tabular, unseen
from zoo.spec import Field

_QUANTILES = 257  # per column of training cells; ranks are interpolated between them
# Known values of a column of texts; rarer ones are unknown.
_MOST_CATEGORIES, _ROWS_A_CATEGORY = 1000, 10
_LOG = logging.getLogger(__name__)


def forms() -> dict[str, Form]:
    """`vector` and `columns`, for columns of floats (NaN: missing) and strings (b"": missing).

    How their cells are read is in the rows' `readings`.
    """
    vector = Form(fit=tabular.fit_columns, make_preprocess=tabular.encode, unseen=unseen.unseen)
    return {"vector": vector, "columns": dataclasses.replace(columns_form(), unseen=unseen.unseen)}


def columns_form() -> Form:
    """`numbers`, `ranks`, `missing` (B, n) float32 and `categories` (B, k) int32 with their ids."""
    return Form(fit=fit_ranks, make_preprocess=separate, fields=_category_fields)


def fit_ranks(train: Rows) -> Part:
    """The part of the state that `separate` needs: that of the form `vector`, ranks and codes.

    Raises:
        DataError: the target is the only column.
    """
    most = max(tabular.MOST_CATEGORIES, min(_MOST_CATEGORIES, train.num_rows // _ROWS_A_CATEGORY))
    part = tabular.fit_columns(train, most=most)
    columns = list(cells.of_rows(part, train)[0])
    edges = [_edges(column) for column in columns]
    quantiles = np.array(edges, np.float64).reshape(len(edges), _QUANTILES)
    target, numbers = codes.targets(train), columns[: len(part["numbers"])]
    values = [codes.values(c, quantiles[i], target) for i, c in enumerate(numbers)]
    coded = [i for i, known in enumerate(values) if len(known)]
    if coded:
        shown = ", ".join(f"{part['numbers'][i]} ({len(values[i])} values)" for i in coded)
        _LOG.info("taken as categories besides as numbers: %s", shown)
    return {
        **part,
        "quantiles": quantiles,
        "coded": np.array(coded, np.int64),  # positions among the numbers
        "codes": np.concatenate([np.zeros(0), *(values[i] for i in coded)]),
        "code_of": np.repeat(np.arange(len(coded)), [len(values[i]) for i in coded]),
    }


def separate(part: Part):
    """`preprocess` of the form; inputs without columns are left out.

    Category ids are 0 for missing, 1 for unknown, from 2 on for the known ones in order.
    """
    part = cells.current(part)
    quantiles, known = np.asarray(part["quantiles"], np.float64), tabular.known_categories(part)
    known_codes = _known_codes(part)

    def preprocess(raw: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        cells.check_names(part, raw)
        inputs, (values, texts, _) = {}, cells.read(part, raw)
        texts = unseen.as_in_training(part, texts)
        ids = [_ids(*tabular.matches(text, known[i])) for i, text in enumerate(texts)]
        if len(part["scale"]):
            missing = tf.math.is_nan(values)
            inputs["numbers"] = tabular.standard(part, values, missing)
            inputs["ranks"] = tf.where(missing, 0.0, _ranks(values, quantiles))
            inputs["missing"] = tf.cast(missing, tf.float32)
            for i, numbers in zip(part.get("coded", ()), known_codes, strict=True):
                # Not values[:, i, None]: graph optimisation loses the axis behind tf.stack.
                number = tf.gather(values, [i], axis=1)
                ids.append(_ids(number == numbers, tf.gather(missing, [i], axis=1)))
        if ids:
            inputs["categories"] = tf.stack(ids, axis=1)  # (B, k)
        return inputs

    return preprocess


def _category_fields(part: Part) -> dict[str, Field]:
    known = [*tabular.known_categories(part), *_known_codes(part)]
    sizes = tuple(len(values) + 2 for values in known)
    return {"categories": Field((len(sizes),), "int32", ids=sizes)} if sizes else {}


def _known_codes(part: Part) -> list[np.ndarray]:
    if "coded" not in part:  # of the earlier format
        return []
    values, of = np.asarray(part["codes"], np.float64), np.asarray(part["code_of"])
    return [values[of == i] for i in range(len(part["coded"]))]


def _ids(one_hot: tf.Tensor, absent: tf.Tensor) -> tf.Tensor:
    """Ids (B,) from matches with the known values (B, values) and missing cells (B, 1)."""
    first = tf.argmax(tf.concat([absent, ~absent, one_hot], axis=1)[:, ::-1], axis=1)
    return tf.cast(one_hot.shape[1] + 1 - first, tf.int32)


def _ranks(values: tf.Tensor, quantiles: np.ndarray) -> tf.Tensor:
    """Ranks (B, n) in [0, 1] of values among their columns' training quantiles (n, Q)."""
    columns = tf.transpose(values)  # (n, B)
    upper = tf.clip_by_value(tf.searchsorted(quantiles, columns, "right"), 1, _QUANTILES - 1)
    low = tf.gather(quantiles, upper - 1, batch_dims=1)
    high = tf.gather(quantiles, upper, batch_dims=1)
    # 1 at or above the last quantile, even if the last ones are equal.
    inside = tf.where(columns < high, tf.math.divide_no_nan(columns - low, high - low), 1.0)
    below = tf.cast(upper - 1, tf.float64) + tf.maximum(inside, 0.0)
    return tf.cast(tf.transpose(below * (1.0 / (_QUANTILES - 1))), tf.float32)


def _edges(column: np.ndarray) -> np.ndarray:
    present = column[~np.isnan(column)]
    if not len(present):
        return np.zeros(_QUANTILES)
    return np.quantile(present, np.linspace(0, 1, _QUANTILES))
