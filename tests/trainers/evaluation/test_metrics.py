"""The reported loss counts real examples alone."""

import numpy as np
import pytest

from tests.conftest import made_pipeline
from trainers.evaluation.metrics import F1, measures
from trainers.tasks import registry

TASKS = ("binary", "classification", "multi_label", "regression")


@pytest.mark.parametrize("name", TASKS)
def test_the_reported_loss_leaves_padding_out(name):
    prepared, task = made_pipeline(name), registry.get(name)
    target = prepared.rows["test"].table["label"][:6]
    random = np.random.default_rng(0)
    logits = random.normal(size=(6, prepared.spec.num_outputs)).astype(np.float32)
    metric = measures(task, prepared)[0]
    metric.update_state(target, logits, sample_weight=np.array([1, 1, 1, 1, 0, 0], np.float32))
    assert metric.name == "loss"
    real = task.loss(prepared)(target[:4], logits[:4])
    assert float(metric.result()) == pytest.approx(np.mean(real), rel=1e-5)


def test_f1_by_hand():
    logits = np.array([[2.0], [-1.0], [0.5], [-0.2], [3.0]], np.float32)
    target = np.array([1, 1, 0, 0, 1])  # two hits, one false alarm, one miss
    metric = F1("micro")
    metric.update_state(target, logits)
    assert float(metric.result()) == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
