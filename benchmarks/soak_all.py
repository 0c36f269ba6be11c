"""Kills four small runs at random times, again and again, and compares their results.

    python benchmarks/soak_all.py --folder=NEW [--kills=50] [--cases=csv,images,texts,replicas]

A case trains once without kills. Then the same run is made in processes ("lives") that SIGKILL ends
after a random time, until one reaches the end; and so again, until the case has had its number of
kills. Every result must have the same state, weights, export, report and lines of metrics.jsonl as
the run without kills, and no half-written files; otherwise the exit code is 1. Lives are forks
(lives.py): 200 kills take a quarter of an hour on one core. soak.py does the same to one run of any
size.
"""

import collections
import pathlib
import shutil
import sys
import time

import attack_facts
import lives
import numpy as np
from absl import app, flags
from attack_runs import Case
from PIL import Image

from trainers.store import checkpoint

_FOLDER = flags.DEFINE_string("folder", None, "New folder for data and runs.", required=True)
_KILLS = flags.DEFINE_integer("kills", 50, "How often each case is killed by SIGKILL.")
_CASES = flags.DEFINE_list("cases", ["csv", "images", "texts", "replicas"], "Runs to test.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the data and of the times of the kills.")

_MIN_SECONDS = 0.2  # of a life
_MAX_FRACTION = 0.7  # of the quiet run, for the longest life
_WORDS = ["good", "film", "was", "the", "dull", "bad", "nice", "plot", "actor", "scene"]


def cases(folder: pathlib.Path, seed: int) -> dict[str, Case]:
    """Writes small data into the folder; the case of a run over each that takes some seconds."""
    random = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    points = random.random((600, 2))
    rows = [f"{x:.4f},{y:.4f},{'abc'[i % 3]},{x * y:.4f}\n" for i, (x, y) in enumerate(points)]
    (folder / "table.csv").write_text("x,y,kind,area\n" + "".join(rows))
    texts = [f"{'ab'[i % 2]}\t{' '.join(random.choice(_WORDS, 8))} {i}\n" for i in range(300)]
    (folder / "texts.tsv").write_text("".join(texts))
    for i in range(120):
        class_folder = folder / "images" / f"class{i % 3}"
        class_folder.mkdir(exist_ok=True)
        pixels = random.integers(0, 256, (20, 20, 3)).astype(np.uint8)
        Image.fromarray(pixels // (1 + i % 3)).save(class_folder / f"{i}.png")
    table = (
        "--model=mlp",
        "--pipeline=csv",
        f"--pipeline_options=data_files={folder / 'table.csv'},target=area",
        "--hparams=hidden=(8,),dropout=0.1",
        "--ema=0.9",
        "--early_stopping=8",
        "--keep=best",
        "--epochs=60",
    )
    images = (
        "--model=cifar_cnn",
        "--pipeline=image_folder",
        f"--pipeline_options=data_files={folder / 'images'},image_size=32",
        "--hparams=filters=(4,4,4),units=4",
        "--epochs=20",
    )
    text = (
        "--model=transformer_encoder",
        "--pipeline=text_lines",
        f"--pipeline_options=data_files={folder / 'texts.tsv'},vocab_size=60,max_length=16",
        "--hparams=width=8,num_layers=1,num_heads=1,mlp_dim=8,dropout=0.1",
        "--epochs=60",
    )
    flags_of = {"csv": table, "images": images, "texts": text}
    flags_of["replicas"] = (*table, "--replicas=2", "--epochs=30")
    common = ("--batch_size=16", "--report_baseline=false", "--checkpoint_minutes=0.003")
    return {name: Case(name, (*own, *common), folder) for name, own in flags_of.items()}


def killed(
    case: Case, folder: pathlib.Path, longest: float, most: int, random: np.random.Generator
) -> tuple[lives.Life, list[int]]:
    """One run, killed after random times until it ends: its last life, the steps at each kill.

    Args:
        most: largest number of kills; then the next life may end by itself.
    """
    reached: list[int] = []
    while True:
        limit = random.uniform(_MIN_SECONDS, longest) if len(reached) < most else None
        life = lives.live(case.words("run", folder / "run"), folder, limit=limit)
        if life.code is not None:
            return life, reached
        reached.append(max(checkpoint.steps(folder / "run" / "checkpoints"), default=0))


def soaked(case: Case, top: pathlib.Path) -> tuple[list[str], list[str]]:
    """Runs a case with all its kills: lines about it, and lines about what went wrong."""
    random, began = np.random.default_rng(_SEED.value), time.monotonic()
    folder = top / case.name
    (folder / "quiet").mkdir(parents=True)
    life = lives.live(case.words("run", folder / "quiet" / "run"), folder / "quiet")
    if life.code:
        return [], [f"{case.name}: the run in peace ended with {life.code}: {life.errors[-500:]}"]
    quiet = attack_facts.facts("run", life, folder / "quiet" / "run", ends=True)
    last = checkpoint.steps(folder / "quiet" / "run" / "checkpoints")[-1]
    longest, reached, faults = _MAX_FRACTION * life.seconds, [], []
    ends = 0
    while len(reached) < _KILLS.value:
        one = folder / str(ends)
        one.mkdir()
        life, steps = killed(case, one, longest, _KILLS.value - len(reached), random)
        reached += steps
        ends += 1
        different = f"exit code {life.code}: {life.errors[-500:]}"
        if life.code == 0:
            result = attack_facts.facts("run", life, one / "run", ends=True)
            different = attack_facts.differences(quiet, result)
        if different:
            faults.append(f"{case.name}: {one} after {len(steps)} kills: {different}")
        else:
            shutil.rmtree(one)
        print(f"{case.name}: {len(reached)} kills, {ends} ends", flush=True)
    where = collections.Counter(
        "before the first checkpoint" if not s else "in training" if s < last else "after it"
        for s in reached
    )
    seconds = time.monotonic() - began
    counts = ", ".join(f"{number} {moment}" for moment, number in sorted(where.items()))
    line = f"{case.name}: {len(reached)} kills ({counts}), {ends} ends, {seconds:.0f} s, state "
    return [f"{line}{quiet['state'][:8]} after step {last}"], faults


def main(argv: list[str]) -> None:
    del argv
    top = pathlib.Path(_FOLDER.value).absolute()
    known = cases(top / "data", _SEED.value)
    lines, faults = [], []
    for name in _CASES.value:
        of_case, wrong = soaked(known[name], top)
        lines += of_case
        faults += wrong
    print("\n".join([*lines, *faults]))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    app.run(main)
