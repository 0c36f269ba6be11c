"""Own images, of any size, under every task that needs no labels, or makes images of its own."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.conftest import tiny_settings
from trainers.training.run import run

SIZES = ((40, 33), (33, 33), (60, 35), (34, 90))
RUNS = {
    "contrastive": ("cifar_cnn", {"task": "contrastive", "task_options": {"width": 6}}),
    "masked_image": ("mae", {"task": "masked_image"}),
    "adversarial": ("gan", {}),
    "rectified_flow": ("diffusion", {}),
}


def photographs(folder, classes: tuple[str, ...]):
    """Images of four sizes, `classes` of them in folders; without any, all in one."""
    random = np.random.default_rng(0)
    for name in classes or ("",):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(48 // max(len(classes), 1)):
            pixels = random.integers(0, 256, (*SIZES[i % 4], 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


@pytest.mark.parametrize(
    "task",
    [
        "contrastive",
        "masked_image",
        pytest.param("adversarial", marks=pytest.mark.slow),
        pytest.param("rectified_flow", marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("_unchecked_export")
def test_own_images_are_trained_tested_and_exported(task, tmp_path):
    model, changes = RUNS[task]
    labelled = task in ("adversarial", "rectified_flow")
    folder = photographs(tmp_path / "photos", ("cat", "dog") if labelled else ())
    report = run(
        tiny_settings(
            model,
            tmp_path / "run",
            **changes,
            pipeline="image_folder",
            data_files=str(folder),
            pipeline_options={"image_size": 32},
            epochs=1,
            batch_size=8,
        )
    )
    assert np.isfinite(report["test"]["loss"])
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert ("prediction, example 5" in page) == (task == "masked_image")
    served = tf.saved_model.load(str(tmp_path / "run" / report["export"]))
    if labelled:
        seeds = tf.constant([1, 2], tf.int64)
        made = served.signatures["generate"](seed=seeds, label=tf.range(2, dtype=tf.int64))
        assert made["image"].shape == (2, 32, 32, 3)
    else:
        pixels = np.zeros((3, 50, 70, 3), np.uint8)  # a server sends images of any size
        assert served.signatures["serving_default"](image=tf.constant(pixels))["features"].ndim == 2
