"""What befalls a run at a step of its own: callbacks for `run(settings, callbacks=[...])`.

A run's own callbacks are called before those that log and save.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator

import keras
import numpy as np
import pytest

from trainers.store import checkpoint


class Died(BaseException):
    """Stands for the end of a process: nothing handles it."""


class At(keras.callbacks.Callback):
    """Acts when `fit` calls a method of callbacks: once, or once for each number of steps.

    Args:
        method: of callbacks, such as "on_test_batch_end".
        act: called with this callback, whose `model` is the one that trains.
        steps: taken by then; none: however many.
    """

    def __init__(self, method: str, act: Callable, *steps: int):
        super().__init__()
        self.act, self.left = act, list(steps) or [None]
        setattr(self, method, self._reached)

    def _reached(self, *_, **__) -> None:
        taken = int(np.asarray(self.model.optimizer.iterations.numpy()))
        for steps in (taken, None):
            if steps in self.left:
                self.left.remove(steps)
                self.act(self)


def raising(error: BaseException) -> Callable:
    """An act: the error."""

    def act(_):
        raise error

    return act


def die_after(*steps: int) -> At:
    """Dies where so many steps are taken and, if it was due, saved; once for each number."""
    return At("on_train_batch_begin", raising(Died()), *steps)


def poison(*steps: int) -> At:
    """Makes the gradients of these steps NaN, the first time they are taken."""

    def act(callback):
        variable = callback.model.trainable_variables[0]
        variable.assign(np.full(variable.shape, np.nan))

    return At("on_train_batch_begin", act, *(step - 1 for step in steps))


def signal_at(method: str, number: int, *steps: int) -> At:
    """Sends this process a signal."""
    return At(method, lambda _: signal.raise_signal(number), *steps)


# Functions that change files or wait for the disk.
_OPERATIONS = [
    *((os, name) for name in ("mkdir", "fsync", "replace", "rename", "remove", "unlink", "rmdir")),
    (shutil, "rmtree"),
]


@contextlib.contextmanager
def file_operations(after: Callable[[str, Callable[[], None]], None]) -> Iterator[None]:
    """While it is entered, `after(name, halve)` is called after each operation on files.

    Arrays count twice: when all of them are in their file, of which `halve()` takes the second
    half away, and once more.
    """

    def counted(original: Callable) -> Callable:
        def operation(*args, **kwargs):
            found = original(*args, **kwargs)
            after(original.__name__, lambda: None)
            return found

        return operation

    savez = np.savez

    def written(file, **arrays):
        savez(file, **arrays)

        def halve():
            file.flush()
            os.truncate(file.fileno(), file.tell() // 2)

        after("half of savez", halve)
        after("savez", lambda: None)

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in _OPERATIONS:
            patch.setattr(owner, name, counted(getattr(owner, name)))
        patch.setattr(np, "savez", written)
        yield


def operations_of_a_save(*steps: int) -> list[str]:
    """What the last save of these steps does to files, one after the other.

    The third of three removes the first; one of the same step again replaces it.
    """
    names: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, step in enumerate(steps, start=1):
            state = checkpoint.Checkpoint(step, {"model/a": np.zeros(2)}, {})
            counted = file_operations(lambda name, halve: names.append(name))
            with counted if number == len(steps) else contextlib.nullcontext():
                checkpoint.save(pathlib.Path(folder), state, best_step=None)
    return names
