"""The other commands, on a run that a fixture trains once."""

import csv
import io
import json
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipelines.storage import tfds as source
from tests.conftest import fake_pipeline, fake_rows, run_python, tiny_settings
from trainers import doctor
from trainers.config import flags as recipe_flags
from trainers.config.settings import resolve
from trainers.errors import ArtefactError, UsageError
from trainers.evaluation import evaluate
from trainers.serving import export, predict
from trainers.training import dry_run, run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of images and a run of columns, on random rows."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "load", lambda p, data_dir=None: (p, fake_rows(p)))
        for name in ("cifar_cnn", "mlp_binary"):
            run.run(tiny_settings(name, folder / name, epochs=1))
    return folder


def command(module, *words: str) -> list[dict]:
    """What a command prints, as JSON lines."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", out)
        module.main([module.__name__, *words])
    return [json.loads(line) for line in out.getvalue().splitlines()]


def newest(runs, name):
    return predict.newest_export(runs / name)


def served(runs, name, raw):
    model = tf.saved_model.load(str(newest(runs, name)))
    outputs = model.signatures["serving_default"](**{k: tf.constant(v) for k, v in raw.items()})
    return {key: value.numpy() for key, value in outputs.items()}


def test_predict_takes_image_files_of_any_size_and_channels(runs, tmp_path, capsys):
    random = np.random.default_rng(0)
    right = random.integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(right).save(tmp_path / "right.png")
    Image.fromarray(right[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(random.integers(0, 256, (50, 70, 3), np.uint8)).save(tmp_path / "large.jpg")
    files = [str(tmp_path / name) for name in ("right.png", "grey.png", "large.jpg")]
    lines = command(predict, f"--workdir={runs / 'cifar_cnn'}", *files)
    assert [line["input"] for line in lines] == files
    expected = served(runs, "cifar_cnn", {"image": right[None]})
    assert lines[0]["class_name"] == expected["class_name"][0].decode()
    probability = lines[0]["probabilities"][lines[0]["class_name"]]
    assert probability == pytest.approx(expected["probabilities"][0].max(), abs=1e-6)
    assert "large.jpg: resized from 50x70 to 32x32" in capsys.readouterr().err


def test_predict_takes_csv_and_the_request_beside_the_export(runs, tmp_path):
    raw = fake_pipeline("breast_cancer").raw
    values = np.random.default_rng(0).normal(3, 2, (3, len(raw))).round(3)
    with open(tmp_path / "rows.csv", "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(["extra", *reversed(raw)])
        writer.writerows([["x", *row] for row in values[:, ::-1]])
    lines = command(predict, f"--workdir={runs / 'mlp_binary'}", str(tmp_path / "rows.csv"))
    columns = {name: values[:, i].astype(np.float32) for i, name in enumerate(raw)}
    expected = served(runs, "mlp_binary", columns)
    found = [line["probability"] for line in lines]
    np.testing.assert_allclose(found, expected["probability"], rtol=1e-5)
    assert lines[0]["input"].endswith("rows.csv:2")
    request = newest(runs, "mlp_binary") / "assets.extra" / "request.json"
    assert len(command(predict, f"--workdir={runs / 'mlp_binary'}", str(request))) == 1


@pytest.mark.parametrize(
    ("name", "file", "content", "said"),
    [
        ("mlp_binary", "a.csv", "mean_radius\n1\n", "missing"),
        ("mlp_binary", "a.json", "{}", "instances"),
        ("mlp_binary", "a.json", '{"instances": [{"mean_radius": 1}]}', "missing"),
        ("mlp_binary", "a.png", "no image", "not an image"),
        ("cifar_cnn", "a.png", "no image", "is not an image"),
        ("cifar_cnn", "a.json", '{"instances": [{"image": [[1, 2]]}]}', "expected"),
        ("cifar_cnn", "a.txt", "text", "not a text"),
        ("cifar_cnn", "a.doc", "text", "expected an image"),
    ],
)
def test_predict_refuses_what_the_model_does_not_take(runs, tmp_path, name, file, content, said):
    (tmp_path / file).write_text(content)
    with pytest.raises(UsageError, match=said):
        command(predict, f"--workdir={runs / name}", str(tmp_path / file))


def test_predict_names_the_bad_cell(runs, tmp_path):
    raw = fake_pipeline("breast_cancer").raw
    rows = [
        ",".join(raw),
        ",".join(["1"] * len(raw)),
        ",".join(["1", "one", *["1"] * (len(raw) - 2)]),
    ]
    (tmp_path / "rows.csv").write_text("\n".join(rows))
    with pytest.raises(UsageError, match=r"rows\.csv:3.*'one'"):
        command(predict, f"--workdir={runs / 'mlp_binary'}", str(tmp_path / "rows.csv"))


def test_predict_needs_only_tensorflow(runs):
    """The export's request, in a process where neither keras nor TFDS can be imported."""
    request = newest(runs, "cifar_cnn") / "assets.extra" / "request.json"
    probe = (
        "import sys; sys.modules['keras'] = sys.modules['tensorflow_datasets'] = None\n"
        "from trainers import predict; predict.main(sys.argv)"
    )
    done = run_python("-c", probe, f"--workdir={runs / 'cifar_cnn'}", str(request))
    assert json.loads(done.stdout)["class_name"]


def test_evaluate_repeats_the_report(runs, monkeypatch):
    monkeypatch.setattr(source, "load", lambda p, data_dir=None: (p, fake_rows(p)))
    report = json.loads((runs / "cifar_cnn" / "report.json").read_text())
    for split in ("test", "validation"):
        [line] = command(evaluate, f"--workdir={runs / 'cifar_cnn'}", f"--split={split}")
        assert line == {split: report[split]}
    with pytest.raises(UsageError, match="splits are"):
        command(evaluate, f"--workdir={runs / 'cifar_cnn'}", "--split=dev")


def test_evaluate_averages_over_views(runs, monkeypatch):
    monkeypatch.setattr(source, "load", lambda p, data_dir=None: (p, fake_rows(p)))
    workdir = f"--workdir={runs / 'cifar_cnn'}"
    [line] = command(evaluate, workdir, "--views=true")
    pipeline = fake_pipeline("cifar10")
    rows = pipeline.rows["test"].table
    model = tf.saved_model.load(str(next((runs / "cifar_cnn" / "export").glob("*/1"))))
    serve = model.signatures["serving_default"]
    shares_and_views = pipeline.views({"image": tf.constant(rows["image"])})
    logits = sum(share * serve(**view)["logits"].numpy() for share, view in shares_and_views)
    right = (logits.argmax(axis=1) == rows["label"]).mean()
    assert line["test_tta"]["accuracy"] == pytest.approx(right)
    with pytest.raises(UsageError, match="true or false"):
        command(evaluate, workdir, "--views=yes")


def test_export_makes_the_next_version_of_the_same_answers(runs, monkeypatch):
    monkeypatch.setattr(source, "load", lambda p, data_dir=None: (p, fake_rows(p)))
    raw = {
        k: v[:4]
        for k, v in fake_rows(fake_pipeline("cifar10"))["test"].table.items()
        if k == "image"
    }
    before = served(runs, "cifar_cnn", raw)
    version = export.export_run(runs / "cifar_cnn", "last")
    assert version.name == "2"
    np.testing.assert_allclose(
        before["logits"], served(runs, "cifar_cnn", raw)["logits"], atol=1e-5
    )


@pytest.mark.parametrize("module", [evaluate, export, predict])
def test_a_folder_without_a_run_is_refused(module, tmp_path):
    (tmp_path / "a.json").write_text("{}")
    words = [str(tmp_path / "a.json")] if module is predict else []
    with pytest.raises(ArtefactError, match=r"no (run|export)"):
        command(module, f"--workdir={tmp_path}", *words)


def test_doctor_names_what_is_there(tmp_path):
    (tmp_path / "mnist" / "3.0.1").mkdir(parents=True)
    (tmp_path / "mnist" / "3.0.1" / "dataset_info.json").write_text("{}")
    text, problems = doctor.examine(str(tmp_path))
    assert "mnist/3.0.1" in text
    assert "tensorflow 2.21" in text
    assert not problems


def test_doctor_names_missing_gpu_libraries_and_unwritable_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "has_nvidia_device", lambda: True)
    monkeypatch.setattr(doctor, "_loads", lambda name, package: name != "libcudnn.so")
    monkeypatch.setattr(doctor, "writable", lambda folder: folder.name != "runs")
    _, problems = doctor.examine(str(tmp_path))
    assert "missing libcudnn.so" in problems[0]
    assert "keras-tfds-zoo[gpu]" in problems[0]
    assert "runs is not writable" in problems[1]


def test_dry_run_tells_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    settings = resolve("mlp_binary", {"data_dir": str(data), "dry_run": True})
    text = dry_run.describe(settings)
    assert "parameters  6209" in text
    assert "learning_rate = 0.001" in text
    assert "12 an epoch, 1200 in all" in text
    assert os.listdir(tmp_path) == []


def test_listing_shows_every_model_data_set_and_recipe():
    text = recipe_flags.listing()
    for word in ("cifar_cnn", "mlp_binary", "breast_cancer", "tfds_image", "--flagfile"):
        assert word in text
