"""The input form `columns` of tables: separate numbers, ranks, missing cells, categories, words.

A column of whole numbers whose values say more than their order does, such as the number of a
school, is a category in addition to a number (codes.py).
"""

import dataclasses
import logging
from collections.abc import Collection, Iterator, Mapping

import numpy as np
import tensorflow as tf

from pipelines.core.pipeline import DataError, Form, Part, Rows
from pipelines.files.shown import shown
from pipelines.steps import cells, codes, column_words, tabular, unseen
from pipelines.storage.progress import progress
from zoo.spec import Field

_QUANTILES = 257  # per column of training cells; ranks are interpolated between them
# Limits of the known values of a column of texts: their number, and the training rows per value.
_MAX_CATEGORIES, _ROWS_A_CATEGORY = 1000, 10
_BLOCK_SIZE = 2**13  # rows whose words are counted at a time
_LOG = logging.getLogger(__name__)


def forms() -> dict[str, Form]:
    """`vector` and `columns`, for columns of floats (NaN: missing) and strings (b"": missing).

    The rows' `readings` say how cells are read. `vector` leaves out columns of free text.
    """
    vector = Form(
        fit=tabular.fit_columns,
        make_preprocess=tabular.encode,
        unseen=unseen.unseen,
        leaves_out=_without_texts,
    )
    separated = dataclasses.replace(
        columns_form(), unseen=unseen.unseen, leaves_out=_texts_not_in_part
    )
    return {"vector": vector, "columns": separated}


def columns_form() -> Form:
    """`numbers`, `ranks`, `missing` (B, n) float32, `categories` (B, k) and `words` (B, t, length).

    The last two are int32 ids: each of the k columns has its own, the t columns of free text share
    theirs (column_words.py).
    """
    return Form(fit=fit_ranks, make_preprocess=separate, fields=_fields_with_ids)


def _without_texts(train: Rows, part: Part | None) -> Collection[str]:
    """Columns of free text. DataError: nothing else is left to learn from."""
    if part is not None:
        return _texts_not_in_part(train, part)
    texts = _free_texts(train)
    if texts and len(texts) == len(train.fields) - 1:
        raise DataError(
            f"no column is left to learn {shown(train.target, 60)} from but free text "
            f"({', '.join(shown(name, 60) for name in texts)}): --model=tabular takes its words"
        )
    return texts


def _texts_not_in_part(train: Rows, part: Part | None) -> Collection[str]:
    """Columns of free text that a fitted part of an earlier version was made without."""
    known = None if part is None else {str(name) for name in part["columns"]}
    return [name for name in _free_texts(train) if known is not None and name not in known]


def _free_texts(train: Rows) -> list[str]:
    readings = train.readings or {}
    return [name for name in train.fields if name in readings and readings[name].kind == "words"]


def fit_ranks(train: Rows) -> Part:
    """The part of the state that `separate` needs: that of the form `vector`, ranks and codes.

    Raises:
        DataError: the target is the only column.
    """
    most = max(tabular.MAX_CATEGORIES, min(_MAX_CATEGORIES, train.num_rows // _ROWS_A_CATEGORY))
    part = tabular.fit_columns(train, most=most)
    columns = list(cells.of_rows(part, train)[0])
    edges = [_edges(column) for column in columns]
    quantiles = np.array(edges, np.float64).reshape(len(edges), _QUANTILES)
    target, numbers = codes.targets(train), columns[: len(part["numbers"])]
    values = [codes.values(c, quantiles[i], target) for i, c in enumerate(numbers)]
    coded = [i for i, known in enumerate(values) if len(known)]
    if coded:
        listed = ", ".join(f"{part['numbers'][i]} ({len(values[i])} values)" for i in coded)
        _LOG.info("taken as categories besides as numbers: %s", listed)
    of_words = column_words.fit(_texts(part, train)) if "prose" in part else {}
    return {
        **part,
        **of_words,
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
    ids_of_words = column_words.ids(part) if "prose" in part else None

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
                # Not values[:, i, None]: graph optimisation loses that axis after a tf.stack.
                number = tf.gather(values, [i], axis=1)
                ids.append(_ids(number == numbers, tf.gather(missing, [i], axis=1)))
        if ids:
            inputs["categories"] = tf.stack(ids, axis=1)  # (B, k)
        if ids_of_words:
            inputs["words"] = ids_of_words(cells.prose(part, raw))  # (B, t, length)
        return inputs

    return preprocess


def _texts(part: Part, train: Rows) -> Iterator[tf.Tensor]:
    """The cells of the columns of free text, in blocks of rows."""
    starts = range(0, train.num_rows, _BLOCK_SIZE)
    for first in progress(starts, len(starts), "counting words"):
        rows = slice(first, first + _BLOCK_SIZE)
        raw = {str(name): tf.constant(train.table[str(name)][rows]) for name in part["prose"]}
        yield from cells.prose(part, raw)


def _fields_with_ids(part: Part) -> dict[str, Field]:
    known = [*tabular.known_categories(part), *_known_codes(part)]
    sizes = tuple(len(values) + 2 for values in known)
    fields = {"categories": Field((len(sizes),), "int32", ids=sizes)} if sizes else {}
    if "prose" in part:
        fields["words"] = column_words.field(part, len(part["prose"]))
    return fields


def _known_codes(part: Part) -> list[np.ndarray]:
    if "coded" not in part:  # of the earlier format
        return []
    values, owner = np.asarray(part["codes"], np.float64), np.asarray(part["code_of"])
    return [values[owner == i] for i in range(len(part["coded"]))]


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
