"""The last layer fitted on features that are kept, and when it is left out."""

import keras
import numpy as np
import pytest
from PIL import Image

import zoo
from pipelines.core.rows import take
from pipelines.storage import caches
from tests.conftest import fake_pipeline, tiny_settings
from trainers.devices import strategy
from trainers.errors import UsageError
from trainers.store.run_folder import Run
from trainers.training import compile, data
from trainers.training.start import linear_head, probe, sources


def built(folder, monkeypatch, **changes) -> tuple[keras.Model, Run]:
    monkeypatch.setattr(caches, "folder", lambda preferred: folder)
    settings = tiny_settings("mobilenet_v2", folder / "run", batch_size=16, **changes)
    prepared = fake_pipeline("cifar10")
    model = compile.compiled(settings, prepared, strategy.choose(1), "mixed_bfloat16")
    return model, Run(folder, "7", settings, prepared, {})


def test_the_last_layer_is_fitted_on_features_that_are_kept(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "pipelines")
    caplog.set_level("INFO", "trainers")
    model, run = built(tmp_path, monkeypatch, init_from=("none", "probe"))
    before = {v.path: v.numpy() for v in model.weights}
    sources.initialise(model, run)
    after = {v.path: v.numpy() for v in model.weights}
    changed = {path for path, value in after.items() if not np.array_equal(value, before[path])}
    assert changed == {"logits/kernel", "logits/bias"}
    rows = run.prepared.rows["train"].table
    raw = {"image": rows["image"]}
    network = keras.Model(model.input, model.get_layer("pool").output)
    features = network(run.prepared.preprocess(raw), training=False).numpy().astype(np.float32)
    kept, labels = probe.features_of(model, run.settings, run.prepared, np.arange(70))
    # The run trains in bfloat16; features are computed in float32.
    np.testing.assert_allclose(kept, features, rtol=0.1, atol=0.02 * features.max())
    np.testing.assert_array_equal(labels, rows["label"])
    assert "logits fitted on the features of 70 rows, C=" in caplog.text
    assert "frozen as they were drawn at random: stem_conv/kernel, " in caplog.text

    monkeypatch.setattr(probe, "_computed", lambda *a: pytest.fail("computed again"))
    again, _ = built(tmp_path, monkeypatch, init_from=("none", "probe"))
    sources.initialise(again, run)
    for path, value in after.items():
        np.testing.assert_array_equal({v.path: v.numpy() for v in again.weights}[path], value)
    assert "features as computed before" in caplog.text


@pytest.mark.parametrize(
    ("target", "task", "outputs"), [("price", "regression", 1), ("tags", "multi_label", 2)]
)
def test_numbers_and_labels_of_images_are_fitted(target, task, outputs, tmp_path, monkeypatch):
    """What the model answers at once is what the fitted layer does, in the target's unit."""
    monkeypatch.setattr(caches, "folder", lambda preferred: tmp_path)
    random, rows = np.random.default_rng(0), ["file,price,tags"]
    for i in range(40):
        level = int(random.integers(0, 200))
        Image.fromarray(random.integers(level, level + 50, (33, 33, 3), np.uint8)).save(
            tmp_path / f"{i}.png"
        )
        tags = "|".join(("bright",) * (level > 100) + ("even",) * (i % 2 == 0)) or "none"
        rows.append(f"{i}.png,{1000 + level},{tags}")
    (tmp_path / "table.csv").write_text("\n".join(rows))
    changes = {"pipeline": "image_table", "data_files": f"{tmp_path}/table.csv", "target": target}
    settings = tiny_settings("mobilenet_v2", tmp_path / "run", **changes, batch_size=8)
    prepared = data.load(settings, None)
    assert prepared.task == task
    model = compile.compiled(settings, prepared, strategy.choose(1), "float32")
    run = Run(tmp_path, "7", settings, prepared, {})
    found = probe.matched(model, {v.path: v for v in model.weights}, run)
    for variable in model.weights:
        variable.assign(found.values.get(variable.path, variable))
    table = prepared.rows["train"]
    index = np.arange(table.num_rows)
    features, targets = probe.features_of(model, settings, prepared, index)
    head = linear_head.fitted(features, targets, outputs)
    expected = features @ head.kernel + head.bias
    raw = {"image": take(table, index)["image"]}
    answers = model(prepared.preprocess(raw), training=False).numpy()
    np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-3)
    assert f"on the features of {len(targets)} rows" in found.lines[0]


def test_it_is_left_out_where_the_last_layer_has_weights_or_the_task_is_another(
    tmp_path, monkeypatch
):
    model, run = built(tmp_path, monkeypatch)
    monkeypatch.setattr(probe, "features_of", lambda *a: pytest.fail("computed"))
    unset = {v.path: v for v in model.weights if v.path != "logits/bias"}
    assert probe.matched(model, unset, run).values == {}
    other = run._replace(
        prepared=run.prepared.replace(
            schema=run.prepared.schema._replace(task="masked_image", target=None)
        )
    )
    [line] = probe.matched(model, unset, other).lines
    assert "task masked_image has no output for each class or label" in line
    one = np.ones((3, 8), np.float32), np.zeros(3, np.int64)
    monkeypatch.setattr(probe, "features_of", lambda *a: one)
    new = {v.path: v for v in model.weights}
    assert "all training rows have the same target" in probe.matched(model, new, run).lines[0]


def test_a_model_without_a_linear_layer_on_its_features_is_refused(tmp_path, monkeypatch):
    model, run = built(tmp_path, monkeypatch)
    unset = {v.path: v for v in model.weights}
    entry = zoo.get("mobilenet_v2")._replace(features="rescale")
    monkeypatch.setattr(probe.zoo, "get", lambda name: entry)
    with pytest.raises(UsageError, match="mobilenet_v2 has no linear layer with a bias"):
        probe.matched(model, unset, run)
