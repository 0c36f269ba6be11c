"""The benchmark of training speed: its clock, its rows, its table, and one short run."""

import importlib
import io
import json
import sys

import numpy as np
import pytest

from tests.conftest import ROOT, run_python

SCRIPT = f"{ROOT}/benchmarks/train_speed.py"


@pytest.fixture(name="script")
def _script(monkeypatch):
    """Imports a module of benchmarks/, whose files import each other as scripts do."""
    monkeypatch.syspath_prepend(f"{ROOT}/benchmarks")
    return importlib.import_module


class Clock:
    """A clock that each call of the training function moves on by a second."""

    def __init__(self):
        self.now = 100.0

    def perf_counter(self):
        return self.now

    process_time = perf_counter


def test_a_turn_times_whole_calls_after_its_first(script, monkeypatch):
    sides, clock, answers = script("sides"), Clock(), io.StringIO()
    monkeypatch.setattr(sides, "time", clock)
    monkeypatch.setattr(sys, "stdin", io.StringIO("2.5\n4\n9\n"))
    turns = sides.Turns(answers)
    turns.built(parameters=7)
    for call in range(1, 12):  # 10 steps a call
        clock.now += 1.0
        turns.after_call(10 * call)
    ready, first, second = map(json.loads, answers.getvalue().splitlines())
    assert ready == {"warm_up": 2.0, "parameters": 7}  # the two calls that trace
    assert (first["steps"], first["seconds"]) == (30, 3.0)  # the third call begins it, untimed
    assert (first["wall"], first["used"]) == (4.0, 4.0)
    assert (second["steps"], second["seconds"]) == (40, 4.0)


def test_rows_compare_within_a_round(script):
    rates = {
        "ours": [100.0, 300.0, 200.0],
        "torch_bfloat16": [50.0, 100.0, 400.0],
        "torch_compiled": [10.0, 20.0, 30.0],
        "article": [20.0, 20.0, 20.0],
    }
    facts = {name: {"precision": "float32", "warm_up": 4.2} for name in rates}
    facts["article"]["batch_size"] = 32
    rows = script("train_speed").rows_of("mlp", 128, rates, facts)
    assert rows == [
        ["mlp", "ours", "float32", "128", "200 (100..300)", "", "4"],
        ["mlp", "torch_bfloat16*", "float32", "128", "100 (50..400)", "2.00 (0.50..3.00)", "4"],
        ["mlp", "torch_compiled", "float32", "128", "20 (10..30)", "10.00 (6.67..15.00)", "4"],
        ["mlp", "article", "float32", "32", "20 (20..20)", "10.00 (5.00..15.00)", "4"],
    ]


def test_short_texts_fill_all_places(script):
    tokens = np.array([[2, 7, 9, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6, 7]])
    filled = script("speed_data").filled(tokens)
    assert filled.tolist() == [[2, 7, 9, 2, 7, 9, 2], [2] * 7, [1, 2, 3, 4, 5, 6, 7]]


@pytest.mark.parametrize(("name", "inputs"), [("imdb", "tokens"), ("mnist_parity", "features")])
def test_every_side_reads_the_same_rows(name, inputs, script, tmp_path, monkeypatch):
    speed_data = script("speed_data")
    shape = {"tokens": (40, 24), "features": (40, 784)}[inputs]
    monkeypatch.setitem(speed_data._RANDOM, name, (inputs, shape, 2))
    speed_data.write_random(name, tmp_path)
    from pipelines.core.stream import stream

    x, y = speed_data.arrays_of(tmp_path)
    prepared = speed_data.prepared_of(tmp_path)
    assert prepared.spec == speed_data.spec_of(tmp_path)
    batches = stream(prepared, "train", batch_size=40, training=True, seed=0)
    ((found, labels, weight),) = batches.take(1)
    order = np.lexsort(x.T[:3])
    again = np.lexsort(found[inputs].numpy().T[:3])
    np.testing.assert_array_equal(found[inputs].numpy()[again], x[order])
    np.testing.assert_array_equal(labels.numpy()[again], y[order])
    assert weight.numpy().tolist() == [1.0] * 40


def test_refuses_what_it_does_not_know(tmp_path):
    done = run_python(SCRIPT, "--models=cifar", cwd=tmp_path, check=False)
    assert done.returncode
    assert "['cifar'] not among cifar_cnn, mnist_cnn" in done.stdout + done.stderr


@pytest.mark.slow
def test_one_short_run_of_what_needs_no_pytorch(tmp_path):
    words = ("--models=mlp_binary", "--sides=ours,keras_float32,keras_bfloat16,article")
    words = (*words, "--data=random", "--rounds=2", "--seconds=0.1")
    printed = run_python(SCRIPT, *words, cwd=tmp_path).stdout
    rows = [line.split() for line in printed.splitlines() if line.startswith("mlp_binary  ")]
    assert [row[1:4] for row in rows] == [
        ["ours", "float32", "128"],
        ["keras_float32", "float32", "128"],
        ["keras_bfloat16", "bfloat16", "128"],
        ["article", "float32", "32"],
    ]
    assert all(float(row[4]) > 100 for row in rows)  # examples a second
    assert all(float(row[6]) > 0 for row in rows[1:])  # ours by theirs


@pytest.mark.slow
@pytest.mark.parametrize("side", ["torch_float32", "torch_bfloat16"])
def test_one_short_run_of_pytorch(side, tmp_path):
    pytest.importorskip("torch", reason="PyTorch is an extra: .[benchmark]")
    words = ("--models=mnist_cnn", f"--sides={side}", "--data=random", "--rounds=1")
    printed = run_python(SCRIPT, *words, "--seconds=0.1", cwd=tmp_path).stdout
    (row,) = (line.split() for line in printed.splitlines() if line.startswith("mnist_cnn  "))
    assert float(row[4]) > 10
