"""Which whole numbers are codes: those with an effect of their own that holds out of fold."""

import numpy as np
import pytest

from pipelines.steps import codes
from tests.pipelines.tables import rows_of

RANDOM = np.random.default_rng(0)
SCHOOL = RANDOM.integers(0, 150, 3000).astype(np.float32)
EFFECT = RANDOM.normal(size=150)[SCHOOL.astype(int)]
NOISE = RANDOM.normal(size=3000)


def found(column, y) -> list[float]:
    column = np.asarray(column, np.float32)
    present = column[np.isfinite(column)]
    quantiles = np.quantile(present if len(present) else [0.0], np.linspace(0, 1, 257))
    return codes.values(column, quantiles, codes.targets(rows_of(x=column, y=y))).tolist()


def test_effects_of_single_values_make_codes():
    assert found(SCHOOL, EFFECT + NOISE) == list(range(150))
    with_missing = np.where(np.arange(3000) % 10 == 0, np.nan, SCHOOL)
    assert found(with_missing, EFFECT + NOISE) == list(range(150))


@pytest.mark.parametrize(
    ("column", "y"),
    [
        (SCHOOL, NOISE),  # no effect at all
        (SCHOOL, SCHOOL + NOISE),  # the number itself
        (SCHOOL, np.sin(SCHOOL / 20) + 0.3 * NOISE),  # smooth: the bins say it
        (SCHOOL, np.random.default_rng(1).permutation(EFFECT + NOISE)),  # the target of other rows
        (SCHOOL + 0.5, EFFECT + NOISE),  # no whole numbers
        (np.arange(3000), NOISE),  # each row another one
        (SCHOOL % 2, EFFECT),  # two values are no more than a number
        (np.full(3000, np.nan), NOISE),
    ],
)
def test_numbers_stay_numbers(column, y):
    assert found(column, y) == []


def test_targets_are_centred_numbers_or_indicators_of_classes():
    rows = rows_of(x=np.arange(4.0), y=np.array([1.0, 3, 5, 7]))
    np.testing.assert_allclose(codes.targets(rows)[:, 0], np.array([-3, -1, 1, 3]) / 5**0.5)
    fields = {**rows.fields, "y": rows.fields["y"]._replace(ids=3)}
    table = {**rows.table, "y": np.array([0, 2, 2, 1])}
    made = codes.targets(rows._replace(fields=fields, table=table))
    indicators = np.array([[0, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 1]]) - [0.5, 0.25, 0.25]
    np.testing.assert_allclose(made, indicators / np.sqrt((indicators**2).mean()))


def test_large_tables_are_judged_by_evenly_spaced_rows():
    column, y = np.tile(SCHOOL, 10), np.tile(EFFECT, 10) + RANDOM.normal(size=30_000)
    assert found(column, y) == list(range(150))
