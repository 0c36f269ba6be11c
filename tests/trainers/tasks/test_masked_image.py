"""Masked patches as a task: figures by hand, and a run from which a vit continues."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.core.stream import stream
from tests.conftest import (
    fake_pipeline,
    made_pipeline,
    tiny_settings,
    unchecked_exports,
    use_fake_data,
)
from trainers.errors import UsageError
from trainers.evaluation import statistics
from trainers.store.finished import finished
from trainers.tasks import masked_image, registry
from trainers.training import run
from trainers.training.compile import build

TASK = registry.get("masked_image")


def prepared_of(**options):
    prepared = fake_pipeline("cifar10")
    pipeline, schema = registry.over("masked_image", prepared.pipeline, prepared.schema, options)
    return prepared.replace(pipeline=pipeline, schema=schema)


def test_loss_and_r2_are_of_masked_patches_alone():
    random = np.random.default_rng(0)
    y, predicted = random.normal(size=(2, 3, 4, 12)).astype(np.float32)
    weight = np.ones((3, 4), np.float32)
    weight[2] = 0  # a row that fills up the batch
    losses = TASK.loss(None)(y, predicted)
    np.testing.assert_allclose(losses, np.square(y - predicted).mean(axis=-1), rtol=1e-5)
    [metric] = TASK.metrics(None)
    metric.update_state(y, predicted, sample_weight=weight)
    error, total = np.square(y - predicted)[:2].sum(), np.square(y)[:2].sum()
    assert float(metric.result()) == pytest.approx(1 - error / total, rel=1e-5)
    kept = {
        "error": np.square(y - predicted)[:2].sum(axis=(1, 2)),
        "total": np.square(y)[:2].sum(axis=(1, 2)),
        "pixels": np.full(2, 48),
    }
    again = statistics.metrics(masked_image.measured(kept, None))
    assert again == pytest.approx({"loss": error / 96, "r2": 1 - error / total}, rel=1e-5)


def test_patches_of_one_shade_have_nothing_to_explain():
    """Of one grey pixel each, or of black images: their targets are zero."""
    y, predicted = np.zeros((3, 4, 1), np.float32), np.ones((3, 4, 1), np.float32)
    weight = np.ones((3, 4), np.float32)
    [metric] = TASK.metrics(None)
    metric.update_state(y, predicted, sample_weight=weight)
    error, total = (one.numpy() for one in masked_image.sums(y, predicted, weight))
    kept = {"error": error, "total": total, "pixels": np.full(3, 4)}
    again = statistics.metrics(masked_image.measured(kept, None))
    assert again == {"loss": 1.0, "r2": float(metric.result())} == {"loss": 1.0, "r2": 0.0}


def test_the_mean_of_each_patch_explains_nothing():
    prepared = prepared_of(patch=8)
    _, y, weight = next(iter(stream(prepared, "test", batch_size=13, training=False, seed=0)))
    [metric] = TASK.metrics(None)
    metric.update_state(y, tf.zeros_like(y), sample_weight=weight)
    assert float(metric.result()) == 0.0
    loss = TASK.loss(None)(y, tf.zeros_like(y))
    np.testing.assert_allclose(loss, np.ones(loss.shape), atol=1e-4)


def test_options_decide_the_width_of_outputs():
    assert prepared_of(patch=2).spec.num_outputs == 12
    assert prepared_of().spec.inputs["masked_positions"].shape == (35,)
    for options, words in (({"patch": 0}, "patch"), ({"mask_rate": 1}, "mask_rate")):
        with pytest.raises(UsageError, match=words):
            tiny_settings("mae", "", task_options=options)


def test_data_that_is_no_image_and_other_models_are_refused():
    made = made_pipeline("binary")
    with pytest.raises(UsageError, match=r"masked_image takes images; made has .* pair"):
        registry.over("masked_image", made.pipeline, made.schema, {})
    with pytest.raises(UsageError, match="takes one input 'image'"):
        build(tiny_settings("cifar_cnn", "", task="masked_image"), prepared_of(), "float32")


@pytest.mark.slow
def test_what_follows_from_visible_patches_is_learnt():
    """Images of equal patches: what is hidden is what is seen elsewhere."""
    settings, prepared = tiny_settings("mae", ""), prepared_of()
    rows = {}
    for split, part in prepared.rows.items():
        phase = np.arange(part.num_rows)[:, None, None]
        place = np.arange(32)
        wave = np.sin(np.pi / 2 * (place[:, None] + place) + phase)
        image = np.repeat(127.5 + 127 * wave[..., None], 3, axis=-1).astype(np.uint8)
        rows[split] = part._replace(table={**part.table, "image": image})
    prepared = prepared.replace(rows=rows, augment=None)
    model = build(settings, prepared, "float32")
    loss = TASK.loss(prepared)
    loss.reduction = "sum_over_batch_size"
    model.compile(optimizer=keras.optimizers.Adam(0.005), loss=loss)
    data = stream(prepared, "train", batch_size=16, training=True, seed=0)
    model.fit(data, steps_per_epoch=80, epochs=1, shuffle=False, verbose=0)
    x, y, weight = next(iter(stream(prepared, "test", batch_size=13, training=False, seed=0)))
    [metric] = TASK.metrics(None)
    metric.update_state(y, model(x), sample_weight=weight)
    assert float(metric.result()) > 0.5


@pytest.fixture(scope="module", name="pretrained")
def _pretrained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained")
    with pytest.MonkeyPatch.context() as patch:
        use_fake_data(patch)
        unchecked_exports(patch)
        report = run.run(tiny_settings("mae", folder, epochs=1))
    return folder, report


@pytest.mark.slow
def test_a_run_reports_its_figures_and_those_of_its_features(pretrained):
    folder, report = pretrained
    assert set(report["test"]) == {"loss", "r2"}
    low, high = report["intervals"]["test"]["r2"]
    assert low <= report["test"]["r2"] <= high
    assert report["probe"]["rows"] == 70
    served = tf.saved_model.load(str(folder / report["export"]))
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    answers = served.signatures["serving_default"](image=tf.constant(images))
    assert answers["features"].shape == answers["direction"].shape == (3, 8)


@pytest.mark.slow
@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_a_vit_begins_with_what_it_learnt(pretrained, tmp_path, caplog):
    folder, _ = pretrained
    caplog.set_level("INFO", "trainers")
    sizes = {"patch": 4, "width": 8, "num_layers": 2, "num_heads": 2, "mlp_dim": 12}
    changes = {"init_from": (str(folder),), "hparams": sizes, "epochs": 1, "learning_rate": 1e-9}
    still = {"weight_decay": 0.0, "schedule": "constant", "warmup_steps": 0}
    run.run(tiny_settings("vit_mini4", tmp_path, **changes, **still))
    assert "new: logits/kernel, logits/bias" in caplog.text
    before, after = finished(folder).weights, finished(tmp_path).weights
    for path in after.keys() - {"logits/kernel", "logits/bias"}:
        np.testing.assert_allclose(before[path], after[path], atol=1e-6)
    # Positions are waves until vit trains them.
    assert before["position_embedding/embeddings"][0].tolist() == [0, 0, 1, 1, 0, 0, 1, 1]
