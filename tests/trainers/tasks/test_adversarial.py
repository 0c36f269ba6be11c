"""Loss and metrics of pairs by hand."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from pipelines.core.keys import Keys
from pipelines.core.stream import stream
from pipelines.steps import noise
from tests.conformance.names import loaded
from tests.conftest import tiny_settings
from trainers.evaluation import statistics
from trainers.evaluation.generated import frechet_distance
from trainers.tasks import adversarial
from trainers.tasks.adversarial import TASK
from zoo.spec import DataSpec, Field


def prepared_of(**options):
    return types.SimpleNamespace(pipeline=types.SimpleNamespace(task_options=options))


def test_loss_and_metrics_are_those_of_pairs():
    parts = np.array([[2.0, 0.5, 1.5], [-1.0, 0.0, 4.0]], np.float32)
    losses = np.log1p(np.exp([-2.0, 1.0])) + 0.2 / 2 * np.array([2.0, 4.0])
    label = np.array([0, 1])
    found = TASK.loss(prepared_of(penalty=0.2))(label, parts)
    np.testing.assert_allclose(found, losses, rtol=1e-6)
    values = {}
    for metric in TASK.metrics(None):
        metric.update_state(label, parts, sample_weight=np.array([1.0, 0.0]))
        values[metric.name] = float(metric.result())
    assert values == {"margin": 2.0, "penalty": 2.0}
    kept = {"losses": losses, "margin": parts[:, 0], "penalty": parts[:, 1:].sum(axis=1)}
    again = statistics.metrics(adversarial.measured(kept, None))
    assert again == pytest.approx({"loss": losses.mean(), "margin": 0.5, "penalty": 3.0})


def test_mnist_gives_images_beside_latents():
    prepared = loaded(tiny_settings("gan", "", task_options={"latent": 7}))
    x, y, _ = next(iter(stream(prepared, "train", batch_size=4, training=True, seed=0)))
    assert {name: value.shape[1:] for name, value in x.items()} == {
        "image": (28, 28, 1),
        "label": (),
        "latent": (7,),
        "noise": (28, 28, 1),
    }
    np.testing.assert_array_equal(y, x["label"])
    assert prepared.spec.inputs["label"].ids == 10
    assert prepared.spec.num_outputs == 3


@pytest.mark.slow
def test_one_fit_with_one_optimizer_learns_the_images_of_two_classes():
    """Four bands of random brightness, all of them lighter in the second class."""
    random, number = np.random.default_rng(0), 2048
    label = np.arange(number) % 2
    bands = 0.4 * random.random((number, 4, 1)) * np.array([-1, 1, -1, 1])[:, None]
    images = (bands - 0.5 + 0.8 * label[:, None, None]).repeat(2, axis=1).repeat(8, axis=2)
    images = images[..., None].astype(np.float32)  # (N, 8, 8, 1)
    field, latent = Field((8, 8, 1), "float32"), Field((8,), "float32")
    kind = Field((), "int32", ids=2)
    inputs = {"image": field, "label": kind, "latent": latent, "noise": field}
    sizes = {"widths": (16, 8), "critic_widths": (16, 32), "units": 32}
    model = zoo.get("gan").build(DataSpec(inputs, "adversarial", 3), **sizes)
    example = noise.with_latents(8)({}, {})

    def keys(epoch, index):
        return Keys(tf.constant(0, tf.int64), tf.cast(epoch, tf.int64), index)

    def made(step):
        index = tf.cast(tf.range(64, dtype=tf.int64) + 64 * step, tf.int64) % number
        taken = {"image": tf.gather(images, index)}
        return example(taken, tf.gather(label, index), keys(step, index))

    def distance() -> tuple[float, float]:
        asked = {name: model.input[name] for name in ("latent", "label")}
        generator = keras.Model(asked, model.get_layer("generated").output)
        drawn = noise.normal(keys(0, tf.range(9000, 9000 + number, dtype=tf.int64)), 8)
        generated = generator({"latent": drawn, "label": tf.constant(label, tf.int32)})
        one, other = (np.mean(x, axis=(2, 3))[:, ::2] for x in (generated.numpy(), images))
        lighter = one.mean(axis=1) > -0.1
        return frechet_distance(one, other), np.mean(lighter == label)

    before, _ = distance()
    optimizer = keras.optimizers.Adam(1e-3, beta_1=0.0, beta_2=0.99)
    loss = TASK.loss(prepared_of(penalty=0.1))
    model.compile(optimizer, loss=lambda y, parts: loss(y, parts))
    data = tf.data.Dataset.range(400).map(made)
    model.fit(data, epochs=1, verbose=0, shuffle=False)
    after, accuracy = distance()
    assert accuracy > 0.95
    assert after < before / 8
