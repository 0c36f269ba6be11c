"""Runs that die when they are told to: one process that forks each of them. Used by test_kill.py.

It imports everything once and then reads lines of JSON: {folder, replicas, kind, point}. Each is a
run in a fork of its own, made before TensorFlow starts, and answered by its exit code in a line.
"""

import json
import os
import shutil
import signal
import sys

import numpy as np

from pipelines.storage import tfds as source
from tests.conftest import fake_rows, tiny_settings
from trainers import errors
from trainers.evaluation import evaluate
from trainers.reports import write as report
from trainers.serving import export
from trainers.store import checkpoint
from trainers.training import fit, run
from trainers.training.callbacks.saver import Saver

EPOCH = 8  # steps: 70 rows in batches of 8
IMPORTED = (evaluate, fit, report)  # what a run imports later, once for all of them


class Death:
    """Comes once, in the way that it is told."""

    def __init__(self, kind: str):
        self.kind, self.came = kind, False

    def come(self, *_) -> None:
        """Ends this process, or asks it to stop."""
        if self.came:
            return
        self.came = True
        if self.kind == "exception":
            raise RuntimeError("died")
        os.kill(os.getpid(), getattr(signal, self.kind))


def when(owner, name: str, condition, then, *, before: bool = False) -> None:
    """Calls `then` after, or before, each call of the function for which the condition holds."""
    original = getattr(owner, name)

    def watched(*args, **kwargs):
        if before and condition(*args):
            then()
        found = original(*args, **kwargs)
        if not before and condition(*args):
            then()
        return found

    setattr(owner, name, watched)


def in_the_third_save(point: int, death: Death, names: list[str]) -> None:
    """Lets death come after the operation on files of that number; all are named in `names`."""
    saves, inside = [], []
    save = checkpoint.save

    def counted_save(*args, **kwargs):
        saves.append(args)
        inside[:] = [True] * (len(saves) == 3)
        save(*args, **kwargs)
        inside.clear()

    def count(owner, name: str, file_of=None) -> None:
        original = getattr(owner, name)

        def operation(*args, **kwargs):
            found = original(*args, **kwargs)
            if inside and file_of is not None:
                names.append(f"half of {name}")
                if len(names) == point:
                    if death.kind == "SIGKILL":
                        args[file_of].flush()
                        os.truncate(args[file_of].fileno(), args[file_of].tell() // 2)
                    death.come()
            if inside:
                names.append(name)
                if len(names) == point:
                    death.come()
            return found

        setattr(owner, name, operation)

    checkpoint.save = counted_save
    count(np, "savez", file_of=0)
    for owner, name in ((os, "mkdir"), (os, "fsync"), (os, "rename"), (shutil, "rmtree")):
        count(owner, name)
    count(json, "dump", file_of=1)


def _second_of_an_epoch(saver: Saver, batch: int, *_) -> bool:
    return saver._step == EPOCH and batch == 1


def live(folder: str, replicas: int, kind: str, point: str | int) -> None:
    """One run, in this process, to its end or its death."""
    death, names = Death(kind), []
    steps = {"first batch": 1, "middle of an epoch": 13, "last of an epoch": EPOCH}
    if point in steps:
        when(Saver, "on_train_batch_end", lambda s, *_: s._step == steps[point], death.come)
    elif point == "validation":
        when(Saver, "on_test_batch_end", _second_of_an_epoch, death.come, before=True)
    elif point == "export":
        when(export, "_compare", lambda *_: True, death.come)
    elif point == "evaluation":
        when(evaluate, "evaluate", lambda *_: True, death.come)
    elif point is not None:
        in_the_third_save(point, death, names)
    settings = tiny_settings(
        "cifar_cnn",
        folder,
        replicas=replicas,
        batch_size=8,
        ema=0.9,
        precision="float32",
        checkpoint_minutes=0.0,
        steps_per_execution=1,
        pipeline_options={"augment": True},
    )
    errors.run_command(lambda argv: run.run(settings))
    if names:
        print(json.dumps(names))


def main() -> None:
    """Lives, one after the other, as they are asked for."""
    source.load = lambda pipeline, data_dir=None: (pipeline, fake_rows(pipeline))
    export._compare = lambda *_: None
    sys.argv = ["run"]
    for line in sys.stdin:
        child = os.fork()
        if not child:
            case, code = json.loads(line), 1
            log = os.open(f"{case['folder']}.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            try:
                live(**case)
                code = 0
            except SystemExit as leaving:
                code = leaving.code
            finally:
                sys.stdout.flush()
                os._exit(code)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
