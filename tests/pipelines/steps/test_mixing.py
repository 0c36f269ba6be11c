"""Mixtures of two rows by hand, and Beta's quantiles against SciPy's distribution."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from pipelines.core.keys import integers
from pipelines.steps import mixing
from tests.pipelines.steps.pictures import keys_of

ONE_HOT = np.eye(3, dtype=np.float32)


def mixed(mix, num: int = 50, size: tuple[int, int] = (4, 4)):
    """Images of ones of class 0 with images of twos of class 2."""
    shape = (num, *size, 1)
    target, other = np.tile(ONE_HOT[0], (num, 1)), np.tile(ONE_HOT[2], (num, 1))
    one, two = tf.ones(shape), 2 * tf.ones(shape)
    inputs, y = tf.function(mix, autograph=False)(
        {"image": one}, tf.constant(target), {"image": two}, tf.constant(other), keys_of(range(num))
    )
    return inputs["image"].numpy(), y.numpy()


@pytest.mark.parametrize("alpha", [0.2, 0.8, 1.0, 2.0])
def test_beta_quantiles_are_those_of_the_distribution(alpha):
    table = mixing.beta_quantiles(alpha)
    expected = stats.beta(alpha, alpha).ppf((np.arange(4096) + 0.5) / 4096)
    np.testing.assert_allclose(table, expected, atol=2**-17 + 1e-7)
    assert (np.diff(table) >= 0).all()
    np.testing.assert_array_equal(table + table[::-1], np.ones(4096, np.float32))
    variance = 1 / (4 * (2 * alpha + 1))
    assert table.mean() == pytest.approx(0.5, abs=1e-6)
    assert table.var() == pytest.approx(variance, rel=2e-3)


def test_mixup_takes_the_drawn_share_of_both_rows():
    x, y = mixed(mixing.mixup(0.8))
    share = mixing.beta_quantiles(0.8)[integers(keys_of(range(50)), 0, 4096)]
    assert len(np.unique(share)) > 40  # one for each row
    np.testing.assert_allclose(x, np.broadcast_to((2 - share)[:, None, None, None], x.shape), 1e-6)
    np.testing.assert_allclose(y, np.stack([share, 0 * share, 1 - share], axis=1), atol=1e-7)


def test_cutmix_weighs_what_is_seen():
    x, y = mixed(mixing.cutmix(1.0), num=200, size=(24, 16))
    np.testing.assert_allclose(y[:, 2], (x == 2).mean(axis=(1, 2, 3)), atol=1e-7)
    np.testing.assert_allclose(y.sum(axis=1), 1, atol=1e-6)
    assert 0.2 < y[:, 2].mean() < 0.4  # half of the area, less what is beyond the edges


def test_cutmix_box_at_the_border_by_hand(monkeypatch):
    """A share of 1/4 for the row."""
    monkeypatch.setattr(mixing, "beta_quantiles", lambda alpha: np.full(4096, 0.25, np.float32))
    x, y = mixed(mixing.cutmix(1.0), num=60, size=(8, 4))
    keys = keys_of(range(60))
    for i in range(60):
        down, right = int(integers(keys, 1, 8)[i]), int(integers(keys, 2, 4)[i])
        expected = np.ones((8, 4))
        # sqrt(3/4) of 8 and 4 pixels are 6.9 and 3.5; half of them, in whole pixels, 3 and 1.
        expected[max(down - 3, 0) : down + 3, max(right - 1, 0) : right + 1] = 2
        np.testing.assert_array_equal(x[i, :, :, 0], expected)
        assert y[i, 2] == pytest.approx((expected == 2).sum() / 32)
    corner = [i for i in range(60) if integers(keys, 1, 8)[i] == integers(keys, 2, 4)[i] == 0]
    assert [y[i, 2] for i in corner] == [pytest.approx(3 * 1 / 32)] * len(corner)
    assert corner


@pytest.mark.parametrize("mix", [mixing.mixup(0.8), mixing.cutmix(1.0)], ids=["mixup", "cutmix"])
def test_mixtures_do_not_depend_on_the_batch(mix):
    random = np.random.default_rng(0)
    x, other = random.normal(size=(2, 20, 6, 7, 3)).astype(np.float32)
    y, other_y = ONE_HOT[random.integers(0, 3, (2, 20))]

    def of(index):
        parts = (tf.gather(t, index) for t in (x, y, other, other_y))
        x_, y_, other_, other_y_ = parts
        return mix({"image": x_}, y_, {"image": other_}, other_y_, keys_of(index))

    (whole, target), (part, part_target) = of(list(range(20))), of([7, 2, 11])
    np.testing.assert_array_equal(part["image"], whole["image"].numpy()[[7, 2, 11]])
    np.testing.assert_array_equal(part_target, target.numpy()[[7, 2, 11]])


def test_mixtures_take_several_inputs():
    one = {"image": tf.ones((9, 4, 4, 1)), "right": tf.ones((9, 4, 4, 3)), "size": tf.ones((9, 2))}
    two = {name: 2 * value for name, value in one.items()}
    y = tf.constant(np.tile(ONE_HOT[:1], (9, 1)))
    cut, _ = mixing.cutmix(1.0)(one, y, two, y, keys_of(range(9)))
    np.testing.assert_array_equal(cut["right"][..., 0], cut["image"][..., 0])
    np.testing.assert_array_equal(cut["size"], one["size"])
    mixed_up, _ = mixing.mixup(1.0)(one, y, two, y, keys_of(range(9)))
    np.testing.assert_array_equal(mixed_up["size"][:, 0], mixed_up["image"][:, 0, 0, 0])
    with pytest.raises(ValueError, match="cutmix takes images of one size, received sizes"):
        mixing.cutmix(1.0)({"size": one["size"]}, y, {"size": two["size"]}, y, keys_of(range(9)))
