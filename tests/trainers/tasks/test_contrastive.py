"""Views told apart: the loss by hand, the same on two replicas, and what is made of a run."""

import re

import numpy as np
import pytest
import tensorflow as tf

import pipelines
import zoo
from pipelines.core.stream import stream
from tests.conformance.names import fake_data, loaded
from tests.conftest import (
    fake_pipeline,
    made_pipeline,
    tiny_settings,
    unchecked_exports,
    use_fake_data,
)
from trainers.devices import strategy as strategies
from trainers.errors import UsageError
from trainers.evaluation import statistics
from trainers.store.finished import finished
from trainers.tasks import contrastive, registry
from trainers.training import run
from trainers.training.compile import build

E = np.e
# Two views of each of two rows; cosines of the first with the others: 0, 1, 1.
VIEWS = np.array([[[2, 0], [0, 3]], [[1, 0], [5, 0]]], np.float32)
HAND = [(np.log(1 + 2 * E) + np.log(3)) / 2, np.log(1 + 2 * E) - 1]


def prepared_of(name: str = "cifar10", **options):
    prepared = fake_pipeline(name)
    pipeline, schema = registry.over("contrastive", prepared.pipeline, prepared.schema, options)
    return prepared.replace(pipeline=pipeline, schema=schema)


def compared(y, views, temperature: float = 1.0):
    return contrastive.NTXent(temperature, reduction=None)(tf.constant(y), tf.constant(views))


def test_loss_is_the_cross_entropy_of_cosines():
    np.testing.assert_allclose(compared([0, 1], VIEWS), HAND, rtol=1e-6)
    sharp = compared([0, 1], VIEWS, 0.5)  # cosines are doubled
    np.testing.assert_allclose(sharp[1], np.log(2 * E**2 + 1) - 2, rtol=1e-6)


def test_rows_that_fill_up_a_batch_are_compared_with_nothing():
    filled = np.concatenate([VIEWS, VIEWS[:1]])
    np.testing.assert_allclose(compared([0, 1, -1], filled)[:2], HAND, rtol=1e-6)


def test_metrics_are_those_of_what_is_kept_of_each_row():
    prepared = prepared_of(width=2, temperature=1.0)
    found = {}
    for metric in registry.get("contrastive").metrics(prepared):
        metric.update_state(tf.constant([0, 1]), VIEWS, sample_weight=tf.constant([1.0, 1.0]))
        found[metric.name] = float(metric.result())
    mean = np.array([(0.5 + 1) / 2, 0.5 / 2])  # of directions (1, 0), (0, 1) and twice (1, 0)
    assert found["spread"] == pytest.approx(np.sqrt(1 - mean @ mean), rel=1e-6)
    assert found["accuracy"] == 0.0  # each view has another that is as near
    kept = {"losses": HAND, "right": [0, 0], "direction": [[0.5, 0.5], [1, 0]]}
    again = statistics.metrics(contrastive.measured(kept, None))
    assert again == pytest.approx({**found, "loss": np.mean(HAND)}, rel=1e-6)


def test_accuracy_counts_views_whose_nearest_is_the_other_one():
    accuracy, _ = registry.get("contrastive").metrics(prepared_of(temperature=1.0))
    views = np.array([[[1, 0], [1, 0.1]], [[0, 1], [1, 1]]], np.float32)
    accuracy.update_state(tf.constant([0, 1]), views, sample_weight=tf.constant([1.0, 1.0]))
    # The last view is nearer to the first row's second one than to its own other one.
    assert float(accuracy.result()) == 0.75
    accuracy.reset_state()
    accuracy.update_state(tf.constant([0, 1]), np.ones_like(views), sample_weight=tf.ones(2))
    assert float(accuracy.result()) == 0.0


def test_spread_is_1_around_the_origin_and_0_where_all_is_the_same():
    for views, spread in (([[1, 0], [1, 0]], 0.0), ([[1, 0], [-1, 0]], 1.0)):
        metric = contrastive.Spread(2)
        metric.update_state(None, tf.constant([views], tf.float32), tf.constant([1.0]))
        assert float(metric.result()) == spread


def test_two_replicas_have_the_loss_and_the_gradients_of_one():
    random = np.random.default_rng(0)
    x = random.normal(size=(6, 2, 5)).astype(np.float32)
    y = np.arange(6)

    def step(strategy, kernel):
        def part(x, y):
            with tf.GradientTape() as tape:
                views = tf.tensordot(x, kernel, 1)
                loss = tf.reduce_sum(contrastive.NTXent(0.3, reduction=None)(y, views)) / 6
            gradient = tape.gradient(loss, kernel)
            replica = tf.distribute.get_replica_context()
            return replica.all_reduce("sum", [loss, gradient])

        batch = tf.data.Dataset.from_tensors((x, y))
        [batch] = strategy.experimental_distribute_dataset(batch)
        loss, gradient = strategy.run(part, args=batch)
        return [strategy.experimental_local_results(v)[0].numpy() for v in (loss, gradient)]

    found, start = [], random.normal(size=(5, 3)).astype(np.float32)
    for replicas in (1, 2):
        strategy = strategies.choose(replicas)
        with strategy.scope():
            kernel = tf.Variable(start)
        found.append(step(strategy, kernel))
    (loss, gradient), (other_loss, other) = found
    assert np.abs(gradient).max() > 0.01
    np.testing.assert_allclose(loss, other_loss, rtol=1e-6)
    np.testing.assert_allclose(gradient, other, rtol=1e-4, atol=1e-7)
    # Views of its own share alone are another task.
    alone = compared(y[:3], np.tensordot(x[:3], start, 1), 0.3)
    assert abs(float(tf.reduce_mean(alone)) - loss) > 0.1


def test_a_network_gets_a_head_over_its_features():
    prepared = prepared_of(width=6)
    x, y, weight = next(iter(stream(prepared, "train", batch_size=4, training=True, seed=0)))
    assert x["image"].shape == (8, 32, 32, 3)
    assert y.shape == weight.shape == (4,)
    settings = tiny_settings("cifar_cnn", "", task="contrastive", task_options={"width": 6})
    model = build(settings, prepared, "float32")
    assert model(x).shape == (4, 2, 6)
    paths = [v.path for v in model.weights]
    assert "conv1/kernel" in paths
    assert "projection2/kernel" in paths
    assert "logits/kernel" not in paths
    with pytest.raises(UsageError, match="names no layer of features"):
        build(tiny_settings("linear", "", task="contrastive"), prepared, "float32")


def _networks() -> list:
    """Those over images that name their features; larger sizes of a family are left out."""
    found, families = [], set()
    for name, listed in zoo.listing().items():
        over_images = pipelines.describe(listed.recipe.pipeline).options.get("labels") == 0
        if listed.features and over_images and not listed.tasks and listed.module not in families:
            families.add(listed.module)
            found.append(name)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", _networks())
def test_every_network_of_images_takes_the_head(name):
    options = {"task": "contrastive", "task_options": {"width": 6}}
    settings = tiny_settings(name, "", **options)
    prepared = loaded(settings)
    x, _, _ = next(iter(stream(prepared, "train", batch_size=2, training=True, seed=0)))
    model = build(settings, prepared, "float32")
    assert model(x).shape == (2, 2, 6)
    supervised = build(tiny_settings(name, ""), fake_data(name), "float32")
    head = "|".join(zoo.get(name).head)
    body = {v.path: v.shape for v in supervised.weights if not re.search(head, v.path)}
    assert body.items() <= {v.path: v.shape for v in model.weights}.items()


def test_data_that_is_no_image_is_refused():
    made = made_pipeline("binary")
    with pytest.raises(UsageError, match="contrastive takes images; made has the input forms pair"):
        registry.over("contrastive", made.pipeline, made.schema, {})


@pytest.fixture(scope="module", name="pretrained")
def _pretrained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained")
    with pytest.MonkeyPatch.context() as patch:
        use_fake_data(patch)
        unchecked_exports(patch)
        changes = {"task": "contrastive", "task_options": {"width": 6}, "epochs": 1}
        report = run.run(tiny_settings("cifar_cnn", folder, **changes))
    return folder, report


def test_the_export_answers_with_features_of_one_image(pretrained):
    folder, report = pretrained
    assert set(report["test"]) == {"loss", "accuracy", "spread"}
    low, high = report["intervals"]["test"]["loss"]
    assert low <= report["test"]["loss"] <= high
    served = tf.saved_model.load(str(folder / report["export"]))
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    answers = served.signatures["serving_default"](image=tf.constant(images))
    assert answers["features"].shape == (3, 8)
    norm = np.linalg.norm(answers["features"], axis=1, keepdims=True)
    expected = answers["features"] / np.maximum(norm, 1e-6)
    np.testing.assert_allclose(answers["direction"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_the_same_network_begins_with_what_it_learnt(pretrained, tmp_path, caplog):
    folder, _ = pretrained
    caplog.set_level("INFO", "trainers")
    changes = {"init_from": (str(folder),), "epochs": 1, "learning_rate": 1e-9}
    still = {"weight_decay": 0.0, "schedule": "constant"}
    run.run(tiny_settings("cifar_cnn", tmp_path, **changes, **still))
    assert "new: logits/kernel, logits/bias" in caplog.text
    before, after = finished(folder).weights, finished(tmp_path).weights
    for path in after.keys() - {"logits/kernel", "logits/bias"}:
        np.testing.assert_allclose(before[path], after[path], atol=1e-6)


def test_labels_that_it_did_not_train_on_are_found_in_its_features(pretrained):
    folder, report = pretrained
    assert report["probe"]["rows"] == 70
    assert set(report["probe"]["test"]) == {"knn", "linear"}
    assert "logistic regression on the features" in (folder / "report.html").read_text()


def test_a_row_with_no_other_to_tell_it_from_is_not_found():
    [accuracy, _] = registry.get("contrastive").metrics(prepared_of(width=2, temperature=1.0))
    for rows in ([7], [7, -1]):
        accuracy.reset_state()
        weight = tf.constant([1.0] + [0.0] * (len(rows) - 1))
        accuracy.update_state(tf.constant(rows), VIEWS[: len(rows)], sample_weight=weight)
        assert float(accuracy.result()) == 0.0
