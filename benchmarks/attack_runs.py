"""The small runs that attack.py attacks, and how it judges a command's reaction."""

import os
import pathlib
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

import attack_facts
import lives
import numpy as np
from PIL import Image

from trainers.store import checkpoint

READERS = ("run", "evaluate", "predict", "report", "export")
REFUSED = (2, 3, 4, 6)  # usage, data, artefact, disk: docs/faults.md
LOGS = re.compile(r"(^|/)(metrics\.jsonl$|tensorboard(/|$))")
FAILURES = (
    *("silent difference", "traceback", "hang", "stopped by a log", "lines lost"),
    *("touched outside", "other exit code", "other end"),
)
_EPOCHS, _MIN_SECONDS = 3, 10.0


class Case(NamedTuple):
    """A small run."""

    name: str
    flags: tuple[str, ...]  # of trainers.run, except for --workdir
    predict_input: pathlib.Path  # of trainers.predict

    def words(self, command: str, run: pathlib.Path, *more: str) -> list[str]:
        """The arguments of a command on the run in this folder; `more` are flags of `run`."""
        own = {"run": (*self.flags, *more), "predict": (str(self.predict_input),)}.get(command, ())
        return [command, *own, f"--workdir={run}"]


class Source(NamedTuple):
    """A run before it is attacked, and what each command gives for it."""

    case: Case
    state: str  # new, interrupted, finished
    ends: bool  # whether `run` has work left to do; then its results are compared too
    folder: pathlib.Path | None
    expected: Mapping[str, dict]  # command -> facts
    limits: Mapping[str, float]  # command -> seconds


class Try(NamedTuple):
    """One attack: a run, what is done to its folder, and the command that follows."""

    source: Source
    label: str
    path: str  # relative to the run
    change: Callable[[pathlib.Path], None]  # takes the copy of the run
    command: str


class Outcome(NamedTuple):
    kind: str
    detail: str = ""


def cases(folder: pathlib.Path, seed: int) -> dict[str, Case]:
    """Writes small data into the folder; the case of a run over each."""
    random = np.random.default_rng(seed)
    folder.mkdir()
    rows = [
        f"{x:.4f},{y:.4f},{'abc'[i % 3]},{int(x + 0.3 * y > 0.6)}\n"
        for i, (x, y) in enumerate(random.random((120, 2)))
    ]
    (folder / "table.csv").write_text("x,y,kind,target\n" + "".join(rows))
    words = ["good", "film", "was", "the", "dull", "bad", "nice", "plot", "actor", "scene"]
    lines = [f"{'ab'[i % 2]}\t{' '.join(random.choice(words, 6))} {i}\n" for i in range(80)]
    (folder / "texts.tsv").write_text("".join(lines))
    (folder / "texts.txt").write_text("good film\nthe dull plot\n")
    Image.linear_gradient("L").resize((8, 8)).save(folder / "picture.png")
    common = (f"--epochs={_EPOCHS}", "--ema=0.9", "--report_baseline=false", "--batch_size=16")
    table = f"data_files={folder / 'table.csv'},target=target"
    texts = f"data_files={folder / 'texts.tsv'},vocab_size=40,max_length=16"
    flags = {
        "table": (
            "--model=mlp_binary",
            "--pipeline=csv",
            f"--pipeline_options={table}",
            "--hparams=hidden=(4,),dropout=0.1",
            "--keep=best",
            "--early_stopping=3",
        ),
        "image": (
            "--model=mnist_cnn_5x5",
            "--pipeline=digits",
            f"--data_dir={folder / 'tensorflow_datasets'}",
            "--hparams=filters=(2,2),units=4",
            "--batch_size=128",
        ),
        "text": ("--model=linear", "--pipeline=text_lines", f"--pipeline_options={texts}"),
    }
    inputs = {"table": "table.csv", "image": "picture.png", "text": "texts.txt"}
    return {n: Case(n, (*common, *own), folder / inputs[n]) for n, own in flags.items()}


def made(case: Case, state: str, run: pathlib.Path, *more: str) -> pathlib.Path | None:
    """A run that SIGKILL ended in its third epoch, or a finished one; None for a new one.

    Raises:
        SystemExit: it ends in another way.
    """
    if state == "new":
        return None
    hook = dying_at_save(3) if state == "interrupted" else None
    run.parent.mkdir(parents=True, exist_ok=True)
    life = lives.live(case.words("run", run, *more), run.parent, hook=hook)
    _need(life.code == (-signal.SIGKILL if hook else 0), f"{case.name}, {state}", life)
    return run


def measured(case: Case, state: str, top: pathlib.Path) -> Source:
    """A run in this state, and what each command, called twice, gives for it.

    Raises:
        SystemExit: a command fails, or its two results differ, although nothing was attacked.
    """
    run = made(case, state, top / state)
    expected, limits, ends = {}, {}, state != "finished"
    for command in READERS if state == "finished" else ("run",):
        twice = []
        for turn in "ab":
            folder = top / f"{state}-{command}-{turn}"
            folder.mkdir(parents=True)
            copied(run, folder / "run")
            life = lives.live(case.words(command, folder / "run"), folder)
            _need(life.code == 0, f"{case.name}, {state}: {command}", life)
            twice.append(attack_facts.facts(command, life, folder / "run", ends=ends))
        different = attack_facts.differences(*twice)
        _need(not different, f"{case.name}, {state}: {command} twice: {different}", life)
        expected[command] = {**twice[0], "warnings": attack_facts.warnings(life)}
        limits[command] = max(_MIN_SECONDS, 8 * life.seconds)
    return Source(case, state, ends, run, expected, limits)


def dying_at_save(number: int) -> Callable[[], None]:
    """A hook: sends SIGKILL when a run begins its `number`th save."""

    def hook() -> None:
        save, left = checkpoint.save, [number]

        def counted(*args, **kwargs):
            left[0] -= 1
            if not left[0]:
                signal.raise_signal(signal.SIGKILL)
            return save(*args, **kwargs)

        checkpoint.save = counted

    return hook


def copied(source: pathlib.Path | None, run: pathlib.Path) -> None:
    """Copies a run to attack it; without a run, does nothing."""
    if source is not None:
        shutil.copytree(source, run, symlinks=True)


def attempt(one: Try, folder: pathlib.Path, hook: Callable[[], None] | None = None) -> lives.Life:
    """Attacks a copy of the run in `folder`, then runs the command on it."""
    folder.mkdir(parents=True)
    _attacked(one, folder / "run")
    words = one.source.case.words(one.command, folder / "run")
    return lives.live(words, folder, limit=one.source.limits[one.command], hook=hook)


def judged(one: Try, life: lives.Life, run: pathlib.Path) -> Outcome:
    """The outcome of an attack, by the command's process and what it wrote."""
    log = bool(LOGS.search(one.path))
    if life.code is None:
        return Outcome("hang", f"still at work after {life.seconds:.0f} s")
    last = (life.errors.strip().splitlines() or [""])[-1][:200]
    if "Traceback" in life.errors or life.code == 1 or life.code < 0:
        return Outcome("traceback", f"exit code {life.code}: {last}")
    if life.code:
        errors = [line for line in life.errors.splitlines() if line.startswith("error: ")]
        if life.code not in REFUSED or len(errors) != 1:
            return Outcome("other exit code", f"{life.code}: {last}")
        # A command may refuse a log that is not a plain file, or is in a folder without a run; it
        # may not refuse a damaged log.
        damaged = not any(why in last for why in ("more than plain files", "other files ("))
        return Outcome("stopped by a log" if log and damaged else "refused", last)
    expected = dict(one.source.expected[one.command])
    before = expected.pop("warnings")
    new = [warning for warning in attack_facts.warnings(life) if warning not in before]
    try:
        received = attack_facts.facts(one.command, life, run, ends=one.source.ends)
    except (OSError, ValueError, LookupError, TypeError) as error:
        return Outcome("silent difference", f"{type(error).__name__}: {error}"[:200])
    if log:
        for drawn in (expected, received):
            drawn.pop("page", None)  # it shows the content of the logs
        lost = attack_facts.lost(expected.pop("lines", ()), received.pop("lines", ()))
        if lost > 2 and not new and one.label.startswith("byte "):
            return Outcome("lines lost", f"{lost} lines of metrics.jsonl, without a word")
    different = attack_facts.differences(expected, received)
    named = [w for w in new if any(part in w for part in one.path.split("/"))]
    if different:
        return Outcome("warned" if named else "silent difference", different)
    return Outcome("warned" if new else "same")


def reproduction(one: Try, run: pathlib.Path) -> str:
    """Attacks another copy of the run, which is kept; the command line to run on it."""
    run.parent.mkdir(parents=True)
    _attacked(one, run)
    command, *arguments = one.source.case.words(one.command, run)
    return shlex.join([sys.executable, "-m", f"trainers.{command}", *arguments])


def _attacked(one: Try, run: pathlib.Path) -> None:
    """Copies the run and applies the change; keeps the folders' times, which pages show."""
    copied(one.source.folder, run)
    one.change(run)
    if one.source.folder is None:
        return
    for old in (one.source.folder, *one.source.folder.rglob("*")):
        new = run / old.relative_to(one.source.folder)
        if old.is_dir() and new.is_dir() and not new.is_symlink():
            os.utime(new, ns=(old.stat().st_atime_ns, old.stat().st_mtime_ns))


def _need(condition: bool, what: str, life: lives.Life) -> None:
    if not condition:
        sys.exit(f"error: {what}: exit code {life.code}\n{life.errors[-2000:]}")
