"""A line an epoch in a log; a bar that is drawn by time on a terminal."""

import sys

import keras
import numpy as np

from trainers.training.callbacks import progress


def fitted(monkeypatch, capsys, *, terminal: bool, now) -> str:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(progress.time, "monotonic", now)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((40, 2), np.float32)
    callbacks = [progress.Progress()]
    model.fit(x, x[:, :1], batch_size=1, epochs=2, verbose=0, callbacks=callbacks)
    output = capsys.readouterr()
    assert output.out == ""  # answers alone
    return output.err


def test_a_log_has_a_line_an_epoch(monkeypatch, capsys):
    out = fitted(monkeypatch, capsys, terminal=False, now=lambda: 0.0)
    lines = [line for line in out.splitlines() if "loss" in line]
    assert len(lines) == 2
    assert lines[0].startswith("40/40")


def test_a_bar_is_drawn_by_time(monkeypatch, capsys):
    drawn = []
    original = keras.callbacks.ProgbarLogger.on_train_batch_end

    def recorded(self, batch, logs=None):
        drawn.append(batch)
        original(self, batch, logs)

    monkeypatch.setattr(keras.callbacks.ProgbarLogger, "on_train_batch_end", recorded)
    clock = iter(np.arange(0.0, 1000.0, 0.06))
    out = fitted(monkeypatch, capsys, terminal=True, now=lambda: float(next(clock)))
    assert "40/40" in out
    assert 4 <= len(drawn) <= 12  # of 80 batches, at 0.06 s each and half a second between two
