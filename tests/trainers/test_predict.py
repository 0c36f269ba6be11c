"""The command `predict`: image files, tables and requests; it needs the export alone."""

import csv
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from pipelines.storage import progress
from tests.conftest import fake_pipeline, run_python
from tests.trainers.conftest import command, served
from trainers import predict
from trainers.errors import ArtefactError, UsageError, exit_code
from trainers.store import exports


def test_image_files_of_any_size_and_channels(finished_runs, tmp_path, caplog):
    random, folder = np.random.default_rng(0), finished_runs / "cifar_cnn"
    pixels = random.integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "same.png")
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(random.integers(0, 256, (50, 70, 3), np.uint8)).save(tmp_path / "large.jpg")
    shutil.copyfile(tmp_path / "same.png", tmp_path / "unnamed")  # told by its first bytes
    files = [str(tmp_path / name) for name in ("same.png", "grey.png", "large.jpg", "unnamed")]
    with caplog.at_level("INFO"):
        lines = command(predict, f"--workdir={folder}", *files)
    assert [line["input"] for line in lines] == files
    expected = served(folder, {"image": pixels[None]})
    assert lines[0]["class_name"] == expected["class_name"][0].decode()
    probability = lines[0]["probabilities"][lines[0]["class_name"]]
    assert probability == pytest.approx(expected["probabilities"][0].max(), abs=1e-6)
    assert lines[3]["probabilities"] == lines[0]["probabilities"]
    assert "large.jpg: resized from 50x70 to 32x32" in caplog.text


def test_tables_and_the_request_beside_the_export(finished_runs, tmp_path):
    raw, folder = fake_pipeline("breast_cancer").raw, finished_runs / "mlp_binary"
    values = np.random.default_rng(0).normal(3, 2, (3, len(raw))).round(3)
    with open(tmp_path / "rows.csv", "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(["extra", *reversed(raw)])
        writer.writerows([["x", *row] for row in values[:, ::-1]])
    lines = command(predict, f"--workdir={folder}", str(tmp_path / "rows.csv"))
    columns = {name: values[:, i].astype(np.float32) for i, name in enumerate(raw)}
    found = [line["probability"] for line in lines]
    np.testing.assert_allclose(found, served(folder, columns)["probability"], rtol=1e-5)
    assert lines[0]["input"].endswith("rows.csv:2")
    request = exports.newest(folder) / "assets.extra" / "request.json"
    assert len(command(predict, f"--workdir={folder}", str(request))) == 1


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        ("mlp_binary", "a.csv", "mean_radius\n1\n", "missing"),
        ("mlp_binary", "a.json", "{}", "is not a request: expected"),
        ("mlp_binary", "a.json", '{"instances": [{"mean_radius": 1}]}', "missing"),
        ("mlp_binary", "a.png", "not an image", "not an image"),
        ("cifar_cnn", "a.png", "not an image", "is not an image"),
        ("cifar_cnn", "a.json", '{"instances": [{"image": [[1, 2]]}]}', "expected"),
        ("cifar_cnn", "a.txt", "text", "not a text"),
        ("cifar_cnn", "a.doc", "text", "expected an image"),
    ],
)
def test_what_the_model_does_not_take_is_refused(
    finished_runs, tmp_path, name, file, content, message
):
    (tmp_path / file).write_text(content)
    with pytest.raises(UsageError, match=message):
        command(predict, f"--workdir={finished_runs / name}", str(tmp_path / file))


def pixels(value, size: int = 32) -> str:
    image = np.zeros((size, size, 3), int).tolist()
    image[1][2][0] = value
    return json.dumps({"instances": [{"image": image}]})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pixels(300), r"image\[1, 2, 0\] is 300, expected whole numbers 0 to 255"),
        (pixels(-1), r"image\[1, 2, 0\] is -1, expected"),
        (pixels(1.7), r"image\[1, 2, 0\] is 1.7, expected"),
        (pixels(float("nan")), r"image\[1, 2, 0\] is NaN, expected"),
        (pixels(0.5), r"is 0.5, expected whole numbers 0 to 255; these look like fractions"),
        (pixels(True), r"image\[1, 2, 0\] is true, expected"),
        (pixels("7"), r"image\[1, 2, 0\] is '7', expected"),
        (pixels([]), "image has values beside lists"),
        (pixels(0, size=31), r"image has shape \(31, 31, 3\), expected \(32, 32, 3\)"),
        ("[" * 9999, "is nested too deeply"),
        ('{"instances": 7}', r"expected \{'instances': "),
        ('{"instances": ["x"]}', r"a\.json:0 is 'x', expected \{image\}"),
    ],
)
def test_a_request_with_what_no_image_has_is_refused(finished_runs, tmp_path, content, message):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UsageError, match=message) as caught:
        command(predict, f"--workdir={finished_runs / 'cifar_cnn'}", str(tmp_path / "a.json"))
    assert str(caught.value).startswith(f"{tmp_path}/a.json")
    assert "\n" not in str(caught.value)
    assert exit_code(caught.value) == 2


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.txt", "a.png"])
def test_a_sparse_file_of_60_gb_is_refused_at_once(finished_runs, tmp_path, name):
    (tmp_path / name).touch()
    os.truncate(tmp_path / name, 60 * 2**30)
    with pytest.raises(UsageError, match=rf"a\.{name[2:]}\b"):
        command(predict, f"--workdir={finished_runs / 'mlp_binary'}", str(tmp_path / name))


def test_a_file_with_a_line_of_100_mb_is_refused(finished_runs, tmp_path):
    (tmp_path / "a.csv").write_bytes(b"x" * 10**8)
    with pytest.raises(UsageError, match=r"a\.csv:1: a line of more than 16,777,216 characters"):
        command(predict, f"--workdir={finished_runs / 'mlp_binary'}", str(tmp_path / "a.csv"))


def test_a_table_without_the_columns_names_a_few_of_them(finished_runs, tmp_path):
    names = [f"c{i}\u202e{'n' * 5000}" for i in range(500)]
    (tmp_path / "a.csv").write_text(",".join(names) + "\n")
    with pytest.raises(UsageError, match=r"and 10 more missing; it has .* and 480 more") as caught:
        command(predict, f"--workdir={finished_runs / 'mlp_binary'}", str(tmp_path / "a.csv"))
    assert len(str(caught.value)) < 10_000
    assert str(caught.value).isprintable()


def test_the_bad_cell_is_named(finished_runs, tmp_path):
    raw = fake_pipeline("breast_cancer").raw
    rows = [
        ",".join(raw),
        ",".join(["1"] * len(raw)),
        ",".join(["1", "one", *["1"] * (len(raw) - 2)]),
    ]
    (tmp_path / "rows.csv").write_text("\n".join(rows))
    with pytest.raises(UsageError, match=r"rows\.csv:3.*'one'"):
        command(predict, f"--workdir={finished_runs / 'mlp_binary'}", str(tmp_path / "rows.csv"))


def test_it_needs_tensorflow_and_the_export_only(finished_runs, tmp_path):
    """In a process without keras and TFDS, from a folder that holds nothing but the export."""
    shutil.copytree(finished_runs / "cifar_cnn" / "export", tmp_path / "export")
    request = exports.newest(tmp_path) / "assets.extra" / "request.json"
    program = (
        "import sys; sys.modules['keras'] = sys.modules['tensorflow_datasets'] = None\n"
        "from trainers import predict; predict.main(sys.argv)"
    )
    done = run_python("-c", program, f"--workdir={tmp_path}", str(request))
    assert json.loads(done.stdout)["class_name"]


def test_a_folder_without_an_export_is_refused(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(ArtefactError, match="has no export"):
        command(predict, f"--workdir={tmp_path}", str(tmp_path / "a.json"))


def test_without_files_it_says_what_it_takes(tmp_path):
    with pytest.raises(UsageError, match="name the files to predict"):
        command(predict, f"--workdir={tmp_path}")
    with pytest.raises(UsageError, match=r"none\.csv does not exist"):
        command(predict, f"--workdir={tmp_path}", str(tmp_path / "none.csv"))
    os.mkfifo(tmp_path / "fifo.csv")
    with pytest.raises(UsageError, match=r"fifo\.csv is not a file"):
        command(predict, f"--workdir={tmp_path}", str(tmp_path / "fifo.csv"))
    with pytest.raises(UsageError, match=r"nnn….*n\\u202e\.csv does not exist") as caught:
        command(predict, f"--workdir={tmp_path}", f"{'n' * 5000}\u202e.csv")
    assert len(str(caught.value)) < 450


def test_progress_is_shown_where_the_answers_are_not(finished_runs, tmp_path, monkeypatch, capsys):
    raw, folder = fake_pipeline("breast_cancer").raw, finished_runs / "mlp_binary"
    rows = [",".join(raw)] + [",".join(["1"] * len(raw))] * 5
    (tmp_path / "rows.csv").write_text("\n".join(rows))
    monkeypatch.setattr(progress, "_DELAY", 0.0)
    monkeypatch.setattr(progress, "_LOG_INTERVAL", 0.0)
    assert len(command(predict, f"--workdir={folder}", str(tmp_path / "rows.csv"))) == 5
    assert "predict: 5it" in capsys.readouterr().err
