"""Sections of the page about generated images: some of each class, and a judge's results."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainers.config.flags import command_line
from trainers.config.settings import Settings
from trainers.reports import html
from trainers.reports.examples import png
from trainers.reports.html import Html, count, element, number


def sections(
    samples: Mapping[str, np.ndarray],
    class_names: Sequence[str],
    judged: Mapping[str, Any],
    settings: Settings,
) -> list[Html]:
    """The samples, and the judge's results or the command that adds them.

    Args:
        samples: `image` (classes, n, H, W, C) uint8 and `label` (classes,).
        judged: from trainers.evaluation.generated; empty: there was no judge.
    """
    return [_samples(samples, class_names), _judged(judged, settings)]


def _samples(samples: Mapping[str, np.ndarray], class_names: Sequence[str]) -> Html:
    lines = []
    for label, images in zip(samples["label"], samples["image"], strict=True):
        name = class_names[int(label)]
        pictures = [_picture(pixels, name, i) for i, pixels in enumerate(images)]
        lines.append((name, element("span", *pictures, class_="samples")))
    remark = "Made by the exported model of seeds that were not chosen: a row for each class."
    return html.section("Samples", html.note(remark), html.table(("class", "images"), lines))


def _picture(pixels: np.ndarray, name: str, number_of: int) -> Html:
    described = html.escape(f"{name}, sample {number_of + 1}")
    return Html(f'<img src="{png(pixels)}" alt="{described}">')


def _judged(judged: Mapping[str, Any], settings: Settings) -> Html:
    if not judged:
        command = [*command_line(settings), f"--workdir={settings.run_dir}", "--judge=RUN"]
        words = " ".join(["python -m trainers.run", *map(shlex.quote, dict.fromkeys(command))])
        why = "No classifier has judged these images. With a finished run of one on the same data:"
        return html.section("Judge", html.note(why), element("pre", html.whole(words)))
    lines = [
        ("accuracy", number(judged["accuracy"]), number(judged["accuracy_of_real"])),
        ("Frechet distance", number(judged["frechet_distance"]), number(judged["floor"])),
        ("spread within a class", number(judged["spread"]), number(1.0)),
    ]
    remark = (
        f"{judged['judge']} ({judged['run']}) has seen {count(judged['samples'])} generated images "
        "with the classes of as many test rows, and these. Accuracy: how often it sees the class "
        "that was asked for. Frechet distance: between both in its features; beside it that of "
        "training images from the test rows, which is the floor. A model that makes one image of "
        "each class has an accuracy of 1, a spread of 0 and a large distance. Distances compare "
        "for the same judge and number of images alone."
    )
    header = ("", "generated", "real images")
    return html.section("Judge", html.note(remark), html.table(header, lines, kind="numbers"))
