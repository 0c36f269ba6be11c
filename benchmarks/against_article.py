"""The tutorial's script and ours in turn, on the same machine: wall clock and test accuracy.

    TFDS_DATA_DIR=... python benchmarks/against_article.py [--pairs=3] [-- flags of trainers.run]

Both train the same network for ten epochs. `fit` is first step to last, validation included;
`total` is the whole process, imports and export included. Prints one line a pair, then the ratios.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import app, flags

_PAIRS = flags.DEFINE_integer("pairs", 3, "How many times each side runs.")
_ARTICLE = pathlib.Path(__file__).with_name("article_cifar10.py")


def _timed(command: list[str]) -> tuple[dict, float]:
    """The JSON that the command prints last, and its seconds."""
    started = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1]), time.perf_counter() - started


def main(argv: list[str]) -> None:
    rows = []
    for seed in range(_PAIRS.value):
        article, article_total = _timed([sys.executable, str(_ARTICLE), f"--seed={seed}"])
        with tempfile.TemporaryDirectory() as folder:
            ours, ours_total = _timed(
                [
                    *(sys.executable, "-m", "trainers.run", "--flagfile=cifar_cnn_article"),
                    *(f"--seed={seed}", f"--workdir={folder}/run", *argv[1:]),
                ]
            )
        rows.append(
            [
                *(article["seconds"]["fit"], ours["seconds"]["fit"], article_total, ours_total),
                *(article["test_accuracy"], ours["test"]["accuracy"]),
            ]
        )
        print(seed, *(f"{value:.4g}" for value in rows[-1]), flush=True)
    sides = ("article", "ours")
    names = [f"{what}: {side}" for what in ("fit", "total", "accuracy") for side in sides]
    table = np.array(rows)
    for name, values in zip(names, table.T, strict=True):
        print(f"{name:20} {values.mean():.4g} (from {values.min():.4g} to {values.max():.4g})")
    for name, ratio in (("fit", table[:, 0] / table[:, 1]), ("total", table[:, 2] / table[:, 3])):
        spread = f"from {ratio.min():.2f} to {ratio.max():.2f}"
        print(f"{name:20} {ratio.mean():.2f} times faster ({spread})")


if __name__ == "__main__":
    app.run(main)
