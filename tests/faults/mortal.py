"""Runs that die at a point of their own: one process that forks each of them. Used by test_kill.py.

It imports everything once and then reads lines of JSON: {folder, replicas, kind, point, save}.
Each is a run in a fork of its own, made before TensorFlow starts, and answered by its exit code in
a line.
"""

import json
import os
import signal
import sys
from collections.abc import Callable

import pytest

from tests.conftest import tiny_settings, unchecked_exports, use_fake_data
from tests.faults.deaths import At, file_operations
from trainers import errors
from trainers.evaluation import evaluate
from trainers.serving import compare
from trainers.store import checkpoint
from trainers.training import run

EPOCH = 8  # steps: 70 rows in batches of 8
MOMENTS = {  # of `fit`: method of callbacks, steps taken by then
    "first batch": ("on_train_batch_end", 1),
    "middle of an epoch": ("on_train_batch_end", 13),
    "last of an epoch": ("on_train_batch_end", EPOCH),
    "validation": ("on_test_batch_end", EPOCH),
}
FUNCTIONS = {"export": (compare, "run_in_new_process"), "evaluation": (evaluate, "evaluate")}


def come(kind: str) -> None:
    """Ends this process, or asks it to stop."""
    if kind == "exception":
        raise RuntimeError("died")
    os.kill(os.getpid(), getattr(signal, kind))


def once_after(patch, owner, name: str, then: Callable[[], None]) -> None:
    """Calls `then` after the first call of the function."""
    original, left = getattr(owner, name), [True]

    def watched(*args, **kwargs):
        found = original(*args, **kwargs)
        if left:
            left.clear()
            then()
        return found

    patch.setattr(owner, name, watched)


def in_a_save(patch, number: int, point: int, kind: str, names: list[str]) -> None:
    """Death comes in that save, after that operation on files; all are named in `names`."""
    saves, save = [], checkpoint.save

    def after(name: str, halve: Callable[[], None]) -> None:
        names.append(name)
        if len(names) == point:
            if kind == "SIGKILL":
                halve()
            come(kind)

    def counted(*args, **kwargs):
        saves.append(args)
        if len(saves) != number:
            return save(*args, **kwargs)
        with file_operations(after):
            return save(*args, **kwargs)

    patch.setattr(checkpoint, "save", counted)


def live(
    patch, folder: str, replicas: int, kind: str, point: str | int | None, save: int = 3
) -> None:
    """One run, in this process, to its end or its death."""
    names, callbacks = [], []
    if point in MOMENTS:
        method, steps = MOMENTS[point]
        callbacks = [At(method, lambda _: come(kind), steps)]
    elif point in FUNCTIONS:
        once_after(patch, *FUNCTIONS[point], lambda: come(kind))
    elif point is not None:
        in_a_save(patch, save, point, kind, names)
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
    errors.run_command(lambda argv: run.run(settings, callbacks=callbacks))
    print(json.dumps(names))


def main() -> None:
    """Lives, one after the other, as they are asked for."""
    sys.argv = ["run"]
    for line in sys.stdin:
        child = os.fork()
        if not child:
            case, code = json.loads(line), 1
            log = os.open(f"{case['folder']}.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            try:
                with pytest.MonkeyPatch.context() as patch:
                    use_fake_data(patch)
                    unchecked_exports(patch)
                    live(patch, **case)
                code = 0
            except SystemExit as leaving:
                code = leaving.code
            finally:
                sys.stdout.flush()
                os._exit(code)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
