"""The sections on generated images."""

import re

import numpy as np

from tests.conftest import tiny_settings
from trainers.reports import generated

SAMPLES = {
    "image": np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4, 1), np.uint8),
    "label": np.array([1, 0]),
}
JUDGED = {
    "accuracy": 0.9712,
    "accuracy_of_real": 0.9957,
    "frechet_distance": 3.25,
    "floor": 0.5,
    "spread": 0.8,
    "samples": 10_000,
    "judge": "mnist_cnn",
    "run": "runs/judge",
}


def sections(judged) -> tuple[str, str]:
    made = generated.sections(SAMPLES, ("zero", "one"), judged, tiny_settings("gan", "run"))
    return tuple(str(one) for one in made)


def test_samples_are_a_row_for_each_class_in_its_order():
    shown, _ = sections({})
    assert shown.count("<img") == 6
    names = re.findall(r'alt="(\w+), sample (\d)"', shown)
    assert names == [(name, str(i)) for name in ("one", "zero") for i in (1, 2, 3)]


def test_judge_has_its_figures_beside_those_of_real_images():
    _, judge = sections(JUDGED)
    rows = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in judge.split("<tr")]
    rows = {row[0]: row[1:] for row in rows if row}
    assert [float(cell) for cell in rows["accuracy"]] == [0.9712, 0.9957]
    assert [float(cell) for cell in rows["Frechet distance"]] == [3.25, 0.5]


def test_without_a_judge_the_command_that_adds_one_is_shown():
    _, judge = sections({})
    assert "--model=gan" in judge
    assert "--judge=RUN" in judge
