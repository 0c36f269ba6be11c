"""The order of a plan as a data set, against the plan itself."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines.core import order as order_module
from pipelines.core.order import order
from pipelines.core.plan import Plan, evaluation_plan, training_plan


def taken(data, number=None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    steps = list((data if number is None else data.take(number)).as_numpy_iterator())
    return tuple(np.stack(parts) for parts in zip(*steps, strict=True))


@pytest.mark.parametrize("at_a_time", [2**20, 30])  # an epoch at once, or three steps of it
@pytest.mark.parametrize("start", [0, 1, 7, 9, 10, 23])
def test_order_of_training_is_the_plan_epoch_after_epoch(at_a_time, start, monkeypatch):
    monkeypatch.setattr(order_module, "_ROWS_AT_A_TIME", at_a_time)
    plan = training_plan(107, batch_size=10, seed=4)
    epochs, rows, widths = taken(order(plan, start_step=start), 25)
    expected = np.concatenate([plan.rows(epoch, 0, 10) for epoch in range(6)])
    np.testing.assert_array_equal(rows, expected[start : start + 25])
    np.testing.assert_array_equal(epochs, np.arange(start, start + 25) // 10)
    assert widths.shape == (25, 0)


@pytest.mark.parametrize("at_a_time", [2**20, 30])
@pytest.mark.parametrize("start", [0, 4, 10, 11, 12])
def test_order_of_an_evaluation_is_one_pass_of_known_length(at_a_time, start, monkeypatch):
    monkeypatch.setattr(order_module, "_ROWS_AT_A_TIME", at_a_time)
    plan = evaluation_plan(107, batch_size=10)
    data = order(plan, start_step=start)
    left = max(0, 11 - start)
    assert data.cardinality() == left
    steps = list(data.as_numpy_iterator())
    assert len(steps) == left
    for step, (epoch, rows, _) in enumerate(steps, start):
        assert epoch == 0
        np.testing.assert_array_equal(rows, plan.rows(0, step, step + 1)[0])


def test_order_of_a_worker_has_its_columns_and_the_widths_of_all():
    plan = training_plan(40, batch_size=4, seed=0)
    lengths = {"a": np.arange(40), "b": np.arange(40)[::-1] * 3}
    options = {"lengths": lengths, "most": {"a": 40, "b": 118}}
    _, rows, widths = taken(order(plan, **options), 20)
    for half in (slice(0, 2), slice(2, 4)):
        _, own, same = taken(order(plan, columns=half, **options), 20)
        np.testing.assert_array_equal(own, rows[:, half])
        np.testing.assert_array_equal(same, widths)
    for row, width in zip(rows, widths, strict=True):
        for name, limit, chosen in zip("ab", (40, 118), width, strict=True):
            assert lengths[name][row].max() <= chosen <= limit
    assert len({tuple(width) for width in widths.tolist()}) > 2


def test_order_takes_any_plan():
    """Each step from another part of the rows, as where clients take turns."""

    def rows(epoch, first, end):
        return np.array([[10 * step + epoch, 10 * step + epoch] for step in range(first, end)])

    plan = Plan(num_rows=30, batch_size=2, steps=3, rows=rows, endless=True)
    _, found, _ = taken(order(plan, start_step=1), 6)
    expected = [[10, 10], [20, 20], [1, 1], [11, 11], [21, 21], [2, 2]]
    np.testing.assert_array_equal(found, expected)
    assert order(plan).element_spec == (
        tf.TensorSpec((), tf.int64),
        tf.TensorSpec((2,), tf.int64),
        tf.TensorSpec((0,), tf.int64),
    )
