"""Time and accuracy of a run, in turn with the tutorial's script on the same machine.

    TFDS_DATA_DIR=... python benchmarks/time_to_accuracy.py [--seeds=3] [--target=0.87] \
        [-- flags of trainers.run]

Without flags of trainers.run, the run has the tutorial's network and number of epochs
(--flagfile=cifar_cnn_article). `fit` is the time from the first step to the last, including
validation; `total` is that of the whole process, including imports, export and test. Prints a line
per seed and side, then means and ratios. With --article=false only the run itself is measured.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import app, flags

_SEEDS = flags.DEFINE_integer("seeds", 3, "Runs per side.", lower_bound=1)
_TARGET = flags.DEFINE_float("target", None, "Test accuracy to compare the mean with.")
_ARTICLE = flags.DEFINE_bool("article", True, "Also run the tutorial's script, in turn.")
_SCRIPT = pathlib.Path(__file__).with_name("article_cifar10.py")


def _timed(command: list[str]) -> tuple[dict, float]:
    """The JSON that the command prints last, and its seconds."""
    started = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()[-600:]}")
    return json.loads(done.stdout.splitlines()[-1]), time.perf_counter() - started


def _run(seed: int, arguments: list[str]) -> tuple[float, float, float]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "trainers.run", *arguments]
        # The report's linear baseline is not part of the run.
        command += [f"--seed={seed}", f"--workdir={folder}/run", "--report_baseline=false"]
        report, total = _timed(command)
    return report["seconds"]["fit"], total, report["test"]["accuracy"]


def _article(seed: int) -> tuple[float, float, float]:
    report, total = _timed([sys.executable, str(_SCRIPT), f"--seed={seed}"])
    return report["seconds"]["fit"], total, report["test_accuracy"]


def _formatted(values: np.ndarray, digits: int) -> str:
    spread = f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
    least, most = (f"{value:.{digits}f}" for value in (values.min(), values.max()))
    return f"{values.mean():.{digits}f}{spread} ({least} to {most})"


def main(argv: list[str]) -> None:
    arguments = argv[1:] or ["--flagfile=cifar_cnn_article"]
    sides = {"article": _article} if _ARTICLE.value else {}
    sides["ours"] = lambda seed: _run(seed, arguments)
    rows = {side: [] for side in sides}
    for seed in range(_SEEDS.value):
        for side, run in sides.items():
            rows[side].append(run(seed))
            fit, total, accuracy = rows[side][-1]
            print(
                f"seed {seed} {side:8} fit {fit:.1f} s, total {total:.1f} s: {accuracy:.4f}",
                flush=True,
            )
    tables = {side: np.array(values) for side, values in rows.items()}
    for side, table in tables.items():
        fit, total, accuracy = (_formatted(*pair) for pair in zip(table.T, (1, 1, 4), strict=True))
        print(f"{side:8} fit {fit} s, total {total} s, accuracy {accuracy}")
    if _ARTICLE.value:
        fit, total, _ = (_formatted(ratio, 2) for ratio in (tables["article"] / tables["ours"]).T)
        print(f"ours is faster: fit {fit} times, total {total} times")
    if _TARGET.value is not None:
        mean = tables["ours"][:, 2].mean()
        met = "reached" if mean >= _TARGET.value else "NOT reached"
        print(f"target {_TARGET.value}: {met} by the mean of {_SEEDS.value} seeds, {mean:.4f}")


if __name__ == "__main__":
    app.run(main)
