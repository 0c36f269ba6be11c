"""Columns that give away the target."""

import numpy as np

from pipelines.files import leaks
from pipelines.files.columns import Column
from pipelines.files.readings import Reading


def column(name, values) -> Column:
    text = values.dtype == object
    distinct = len(set(values.tolist()))
    return Column(name, "text" if text else "number", values, distinct, {})


def test_warnings_name_the_column_that_alone_predicts_the_target():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, 400)
    noise = column("noise", rng.normal(size=400))
    code = column("code", np.array([b"x", b"y", b"z"], object)[target])
    everywhere = np.full(400, True)
    [line] = leaks.warnings([noise, code], everywhere, target)
    assert line.startswith("code alone predicts the target (skill 1.000, the next best column 0.0")
    assert line.endswith("leave it out with --pipeline_options=ignore=code")
    assert leaks.warnings([noise, column("b", rng.normal(size=400))], everywhere, target) == []
    # Two that know as much do not surprise, and one alone has nothing beside it.
    assert leaks.warnings([code, code._replace(name="same"), noise], everywhere, target) == []
    assert leaks.warnings([code], everywhere, target) == []
    amount = rng.normal(size=400).astype(np.float32)
    paid = column("paid", 2.0 * amount)
    [line] = leaks.warnings([noise, paid], everywhere, amount)
    assert line.startswith("paid alone predicts the target (skill 0.9")


def test_warnings_name_a_measure_that_counts_the_rows():
    [line] = leaks.warnings([column("time", np.arange(40.0))], np.full(40, True), np.zeros(40))
    assert line.startswith("time counts the rows: if it is their number and no measure, leave it")


def test_warnings_say_nothing_of_the_order_of_free_texts():
    rng = np.random.default_rng(0)
    target = np.sort(rng.integers(0, 3, 400))
    texts = column("note", np.array([b"text %d" % i for i in range(1000, 1400)], object))
    noise, everywhere = column("noise", rng.normal(size=400)), np.full(400, True)
    assert len(leaks.warnings([noise, texts], everywhere, target)) == 1
    free = texts._replace(reading=Reading("words"))
    assert leaks.warnings([noise, free], everywhere, target) == []
