"""A folder of image files becomes a served model: trained, exported and asked by a stranger."""

import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from pipelines import shapes
from tests.conftest import run_python, run_stranger

KINDS = ("circle", "cross", "ring", "star")
# As on a server: raw files in, names out; nothing of ours, no keras.
STRANGER = """
import json, pathlib, sys
for name in ("zoo", "pipelines", "trainers", "keras", "tensorflow_datasets"):
    sys.modules[name] = None
import numpy as np
import tensorflow as tf
from PIL import Image
model = tf.saved_model.load(sys.argv[1])
answers = {}
for path in sorted(pathlib.Path(sys.argv[2]).rglob("*.*")):
    pixels = np.asarray(Image.open(path).convert("RGB"))[None]
    outputs = model.signatures["serving_default"](image=tf.constant(pixels))
    answers[str(path)] = outputs["class_name"][0].numpy().decode()
print(json.dumps(answers))
"""


def draw_files(folder: pathlib.Path, number: int, seed: int) -> None:
    """Drawings of each kind as files of all sorts: 36 to 120 pixels a side, up to 3:2, and grey."""
    random = np.random.default_rng(seed)
    labels = np.array([sorted(shapes._FIGURES).index(kind) for kind in KINDS])
    drawn = shapes.draw(np.repeat(labels, number), random)
    for i, pixels in enumerate(drawn):
        kind, suffix = (
            KINDS[i // number],
            ("jpg", "JPEG", "png", "bmp", "webp", "gif", "tif")[i % 7],
        )
        width = int(random.integers(36, 121))
        size = (width, int(width * random.uniform(0.7, 1.4)))
        picture = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
        picture = picture.convert("L") if i % 11 == 0 else picture
        picture = picture.convert("RGBA") if suffix == "png" and i % 2 else picture
        (folder / kind).mkdir(parents=True, exist_ok=True)
        picture.save(folder / kind / f"{i:04}.{suffix}")


@pytest.mark.slow
def test_image_folder_becomes_a_served_model(tmp_path):
    draw_files(tmp_path / "photos", 400, seed=1)
    draw_files(tmp_path / "new", 50, seed=2)
    command = (
        *("-m", "trainers.run", "--model=cifar_cnn", "--pipeline=image_folder"),
        *("--data_files=photos", "--pipeline_options=image_size=32", "--epochs=25"),
        *("--batch_size=64", "--workdir=run"),
    )
    done = run_python(*command, cwd=tmp_path)
    assert "photos: 1600 images in 4 classes: circle 400, cross 400, ring 400, star 400" in (
        done.stderr
    )
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["test"]["accuracy"] > 0.6  # of four classes

    exported = tmp_path / "run" / report["export"]
    answers = json.loads(run_stranger(STRANGER, exported, tmp_path / "new", cwd=tmp_path))
    assert len(answers) == 200
    right = np.mean([pathlib.Path(path).parent.name == name for path, name in answers.items()])
    assert right > 0.6

    asked = [path for path in answers if not path.endswith(("gif", "tif"))][:20]
    done = run_python("-m", "trainers.predict", "--workdir=run", *asked, cwd=tmp_path)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["input"]: line["class_name"] for line in lines} == {p: answers[p] for p in asked}

    again = run_python("-m", "trainers.evaluate", "--workdir=run", cwd=tmp_path)
    assert json.loads(again.stdout) == {"test": report["test"]}
