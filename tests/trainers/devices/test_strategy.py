"""One device, several, or a refusal."""

import pytest
import tensorflow as tf

from trainers.devices import strategy
from trainers.errors import UsageError


def test_one_replica_has_no_strategy_and_two_have_one_in_common():
    assert strategy.choose(1) is tf.distribute.get_strategy()
    assert strategy.choose(0).num_replicas_in_sync == 1
    assert strategy.choose(2).num_replicas_in_sync == 2
    assert strategy.choose(2) is strategy.choose(2)


def test_more_replicas_than_devices_are_refused():
    strategy.choose(2)
    tf.config.list_logical_devices("CPU")  # from here on their number is fixed
    with pytest.raises(UsageError, match="already started with 2"):
        strategy.choose(3)


def test_several_workers_are_refused(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:1"]}}')
    with pytest.raises(UsageError, match=r"TF_CONFIG is set, .* several workers is not built"):
        strategy.choose(1)


def test_batch_that_does_not_divide_is_refused():
    strategy.check_batch_size(8, strategy.choose(2), 4)
    with pytest.raises(UsageError, match=r"batch_size=7 does not divide over 2 replicas$"):
        strategy.check_batch_size(7, strategy.choose(2))
    with pytest.raises(UsageError, match="does not divide over 2 replicas, in 3 parts each"):
        strategy.check_batch_size(8, strategy.choose(2), 3)
