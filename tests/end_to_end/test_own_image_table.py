"""A table of image files becomes a served model: numbers, and several labels for each image."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.pipelines.tables import write
from trainers.config.settings import resolve
from trainers.evaluation.evaluate import evaluate_run
from trainers.serving.predict import predict
from trainers.training import run

NUMBER = 300


def draw_files(folder: pathlib.Path) -> list[list]:
    """Discs of two colours, small or large: (file, radius in millimetres, red, large)."""
    random, rows = np.random.default_rng(0), []
    folder.mkdir()
    for i in range(NUMBER):
        radius, red = random.uniform(4, 15), bool(random.integers(2))
        down, right = np.mgrid[0:36, 0:48] - np.array([18, 24]).reshape(2, 1, 1)
        disc = down**2 + right**2 < radius**2
        pixels = np.full((36, 48, 3), 40, np.uint8)
        pixels[disc] = (220, 60, 50) if red else (60, 70, 220)
        path = folder / f"{i:03}.png"
        Image.fromarray(pixels).save(path)
        rows.append([f"discs/{path.name}", f"{radius / 10:.3f}", red, radius > 9])
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["radius", "tags"])
def test_image_table_becomes_a_served_model(kind, tmp_path):
    rows = draw_files(tmp_path / "discs")
    if kind == "tags":
        rows = [
            [name, "|".join(["red"] * red + ["large"] * large) or "none"]
            for name, _, red, large in rows
        ]
    else:
        rows = [[name, radius] for name, radius, _, _ in rows]
    changes = {
        "pipeline": "image_table",
        "data_files": write(tmp_path / "discs.csv", [["file", kind], *rows]),
        "target": kind,
        "pipeline_options": {"image_size": 24, "resize": "pad", "padding": 2},
        "epochs": 30,
        "batch_size": 32,
        "report_baseline": False,
        "workdir": str(tmp_path / "run"),
    }
    test = run.run(resolve("cifar_cnn", changes))["test"]
    assert (test["r2"] if kind == "radius" else test["f1"]) > 0.8, test
    asked = [tmp_path / name for name, *_ in rows[:30]]
    [version] = (tmp_path / "run" / "export").glob("*/1")
    answers = list(predict(version, asked))
    assert [answer["input"] for answer in answers] == [*map(str, asked)]
    function = tf.saved_model.load(str(version)).signatures["image_bytes"]
    of_bytes = function(image_bytes=tf.constant([path.read_bytes() for path in asked]))
    if kind == "radius":
        scores = [answer["value"] for answer in answers]
        np.testing.assert_allclose(scores, of_bytes["value"], 1e-4)
    else:
        flags = [[name in answer["labels"] for name in ("large", "red")] for answer in answers]
        np.testing.assert_array_equal(flags, of_bytes["labels"])
    assert evaluate_run(tmp_path / "run", "test", views=False) == test
