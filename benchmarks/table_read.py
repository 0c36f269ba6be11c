"""Time and memory of reading a large CSV file, the first time and again.

    PYTHONPATH=. python benchmarks/table_read.py --folder=NEW [--rows=500000] [--columns=20]

Writes a table of numbers, categories, dates and a target, with some empty cells, and reads it in
new processes: as a first command does; then from the first one's cache; then also with what a run
does before its first step: fitting the form `columns`, and counting values unseen in training.
Times are CPU times; memory is the peak beyond that of TensorFlow and the packages alone.
"""

import logging
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
from absl import app, flags

_FOLDER = flags.DEFINE_string(
    "folder", None, "New folder for the table and its cache.", required=True
)
_ROWS = flags.DEFINE_integer("rows", 500_000, "Rows of the table.", lower_bound=100)
_COLUMNS = flags.DEFINE_integer("columns", 20, "Columns, including the target.", lower_bound=6)
_STEPS = ("first read", "second read", "second read, fit", "second read, fit, count")


def main(argv: list[str]) -> None:
    if argv[1:]:
        measure(*argv[1:])
        return
    folder = pathlib.Path(_FOLDER.value)
    folder.mkdir()
    path = folder / "table.csv"
    write(path, _ROWS.value, _COLUMNS.value)
    print(f"{_ROWS.value} rows, {_COLUMNS.value} columns, {path.stat().st_size / 1e6:.0f} MB")
    (folder / "kept").mkdir()
    environment = {
        "TMPDIR": str(folder / "kept"),
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    for step in _STEPS:
        command = [sys.executable, __file__, f"--folder={folder}", "--", str(path), step]
        subprocess.run(command, env=os.environ | environment, check=True)


def write(path: pathlib.Path, rows: int, columns: int) -> None:
    """Writes a table drawn by a seed: a tenth categories, a tenth dates, the others numbers."""
    random = np.random.default_rng(0)
    kinds = max(1, columns // 10)
    names = [f"kind{i}" for i in range(kinds)] + [f"day{i}" for i in range(kinds)]
    cells = [np.char.add("value ", random.integers(0, 40, rows).astype(str)) for _ in range(kinds)]
    days = np.datetime64("2010-01-01") + random.integers(0, 5000, (kinds, rows))
    cells += list(days.astype(str))
    for i in range(columns - 1 - 2 * kinds):
        numbers = np.char.mod("%.4f", random.normal(size=rows))
        cells.append(np.where(random.random(rows) < 0.02, "", numbers))
        names.append(f"x{i}")
    cells.append(np.char.mod("%.3f", random.normal(size=rows)))
    with open(path, "w", encoding="utf-8") as file:
        file.write(",".join([*names, "y"]) + "\n")
        file.writelines(",".join(row) + "\n" for row in zip(*cells, strict=True))


def measure(path: str, step: str) -> None:
    """Prints the CPU seconds and the memory of one step; runs in its own process."""
    import tensorflow as tf

    import pipelines.csv

    lines = logging.getLogger("pipelines")  # of those that a command prints, too, is kept
    lines.setLevel(logging.INFO)
    lines.propagate = False
    tf.constant([b"a"])  # TensorFlow's own threads and tables
    before, began = _peak(), time.process_time()
    pipeline = pipelines.csv.pipeline(data_files=path, target="y")
    rows, schema = pipeline.read()
    if step in _STEPS[2:]:
        from pipelines.core.prepared import prepare

        prepared = prepare(pipeline, schema, rows, form="columns")
    if step == _STEPS[3]:
        from trainers.evaluation import unseen

        for split in ("validation", "test"):
            unseen.count(prepared, split)
    seconds, memory = time.process_time() - began, _peak() - before
    print(f"{step:24} {seconds:6.2f} s of CPU  {memory:6.0f} MB", flush=True)


def _peak() -> float:
    """The peak memory of the process, in MB."""
    status = pathlib.Path("/proc/self/status").read_text(encoding="utf-8")
    return float(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    app.run(main)
