"""Loss and metrics of a velocity by hand."""

import functools

import numpy as np
import pytest

from pipelines.core.stream import stream
from tests.conformance.names import loaded
from tests.conftest import fake_pipeline, tiny_settings
from trainers.errors import UsageError
from trainers.evaluation import statistics
from trainers.tasks import rectified_flow, registry
from trainers.tasks.rectified_flow import TASK


def test_the_loss_is_the_mean_square_over_pixels():
    random = np.random.default_rng(0)
    y, answer = random.normal(size=(2, 3, 4, 5, 2)).astype(np.float32)
    expected = ((y - answer) ** 2).reshape(3, -1).mean(axis=1)
    np.testing.assert_allclose(TASK.loss(None)(y, answer), expected, rtol=1e-5)
    found = statistics.metrics(rectified_flow.measured({"squared": expected}, None))
    assert found == pytest.approx({"loss": expected.mean()})


def test_mnist_gives_noisy_images_and_velocities():
    prepared = loaded(tiny_settings("diffusion", ""))
    x, y, weight = next(iter(stream(prepared, "train", batch_size=4, training=True, seed=0)))
    assert set(x) == {"image", "time", "label"}
    assert x["image"].shape == y.shape == (4, 28, 28, 1)
    assert weight.shape == (4,)
    assert prepared.spec.inputs["label"].ids == 11
    assert prepared.spec.num_outputs == 1
    assert prepared.pipeline.augment is None
    assert prepared.elements == 1


def test_options_out_of_bounds_are_refused_at_once():
    for options, words in (
        ({"steps": 0}, "steps must be at least 1"),
        ({"class_dropout": 1.5}, "class_dropout"),
        ({"schedule": 3}, "option of task rectified_flow 'schedule'"),
    ):
        with pytest.raises(UsageError, match=words):
            tiny_settings("diffusion", "", task_options=options)


def test_guidance_needs_examples_of_no_class():
    prepared = fake_pipeline("mnist")
    over = functools.partial(registry.over, "rectified_flow", prepared.pipeline, prepared.schema)
    with pytest.raises(UsageError, match=r"guidance=1\.5 needs .* class_dropout above 0, or guid"):
        over({"class_dropout": 0.0})
    over({"class_dropout": 0.0, "guidance": 1.0})
