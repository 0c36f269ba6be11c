"""Latency of the exported model, compared with Keras's own ways to call the same model.

    python benchmarks/inference_latency.py --workdir=runs/cifar_cnn-shapes-s0
    python benchmarks/inference_latency.py --model=cifar_cnn --pipeline=shapes [-- more run flags]

The first command measures the newest export of a run; the second exports an untrained model, which
is as fast, into a temporary folder. All sides take and return NumPy arrays, in float32, with the
same weights, and they take turns. The export does more: it preprocesses raw images or texts and
names its outputs; Keras gets preprocessed inputs and returns logits. The logits of all sides are
compared first. Milliseconds are of single calls; a ratio is that of the medians of one round, and
its spread is over the rounds.
"""

import os
import pathlib
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from absl import app, flags, logging

from trainers.errors import UsageError, import_tensorflow

_WORKDIR = flags.DEFINE_string("workdir", "", "A finished run.")
_MODEL = flags.DEFINE_string("model", "", "Model to export, instead of a run.")
_PIPELINE = flags.DEFINE_string("pipeline", "", "Data set of the model; default: its recipe's.")
_BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["1", "256"], "Examples per call.")
_ROUNDS = flags.DEFINE_integer("rounds", 7, "Turns per side.")
_SECONDS = flags.DEFINE_float("seconds", 1.0, "Seconds per turn; at least ten calls.")
_THREADS = flags.DEFINE_integer("threads", 0, "Threads per operation; 0: one per core.")
_MIN_CALLS = 10
_ROWS = 1000  # of the test split, from which batches are taken


def _exported(extra: list[str]):
    """The export's directory, its prepared pipeline and settings; and a folder to keep alive."""
    from trainers.config.flags import parse
    from trainers.evaluation import records
    from trainers.serving import export
    from trainers.store import exports, run_folder
    from trainers.tasks import registry
    from trainers.training import data
    from trainers.training.compile import build

    if _WORKDIR.value:
        folder = pathlib.Path(_WORKDIR.value)
        settings, _ = run_folder.settings_of(folder)
        return exports.newest(folder), data.load(settings, folder), settings, None
    if not _MODEL.value:
        raise UsageError("expected --workdir=... of a finished run, or --model=...")
    arguments = [f"--pipeline={_PIPELINE.value}"] if _PIPELINE.value else []
    settings = parse(["", f"--model={_MODEL.value}", *arguments, *extra])
    prepared = data.load(settings, None)
    temporary = tempfile.TemporaryDirectory()
    model = build(settings, prepared, "float32")
    random = np.random.default_rng(0)
    for variable in model.weights:  # a bias of zeros would be left out of the graph
        noise = random.uniform(0.01, 0.02, variable.shape)
        variable.assign_add(noise.astype(variable.dtype))
    weights = {variable.path: variable.numpy() for variable in model.weights}
    examples = records.examples(prepared, registry.get(prepared.task), None)
    version = export.export(settings, prepared, weights, examples, pathlib.Path(temporary.name))
    return version, prepared, settings, temporary


def _batch(prepared, size: int) -> dict[str, np.ndarray]:
    """Raw rows of the test split; a single row of texts is one of median length."""
    from pipelines.core.rows import take

    count = min(_ROWS, prepared.rows["test"].num_rows)
    rows = take(prepared.rows["test"], np.arange(count))
    texts = [rows[name] for name, field in prepared.raw.items() if field.dtype == "string"]
    lengths = np.sum([[len(text) for text in column] for column in texts], axis=0)
    middle = np.argsort(np.broadcast_to(lengths, count), kind="stable")[count // 2]
    index = np.array([middle]) if size == 1 else np.arange(size) % count
    return {name: rows[name][index] for name in prepared.raw}


def _sides(version, prepared, settings, raw: Mapping[str, np.ndarray]) -> dict[str, Callable]:
    """The sides to time: name -> a call without arguments that returns logits."""
    import tensorflow as tf

    from pipelines.core.padding import cut_to_need
    from trainers.store import saved_model
    from trainers.training.compile import build

    loaded = saved_model.load(version)
    serve = loaded.signatures["serving_default"]
    model = build(settings, prepared, "float32")
    for variable, value in zip(model.weights, loaded.weights, strict=True):
        variable.assign(value.numpy())
    tensors = {name: tf.constant(value) for name, value in raw.items()}
    inputs = cut_to_need(prepared.preprocess(tensors), prepared.padded)
    ready = {name: value.numpy() for name, value in inputs.items()}
    size = len(next(iter(raw.values())))

    def export() -> np.ndarray:
        answers = serve(**{name: tf.constant(value) for name, value in raw.items()})
        return {name: value.numpy() for name, value in answers.items()}["logits"]

    def eager() -> np.ndarray:
        return model({k: tf.constant(v) for k, v in ready.items()}, training=False).numpy()

    sides = {
        "export": export,
        "model.predict": lambda: model.predict(ready, batch_size=size, verbose=0),
        "model.predict_on_batch": lambda: model.predict_on_batch(ready),
        "model(x)": eager,
    }
    sides["export"].keeps = loaded  # the signature does not own its variables
    return sides


def _check(sides: Mapping[str, Callable]) -> None:
    expected = sides["export"]()
    for name, call in sides.items():
        received = call()
        if not np.allclose(received, expected, rtol=1e-4, atol=1e-4):
            raise AssertionError(f"{name} differs by {np.abs(received - expected).max():.1e}")


def measure(sides: Mapping[str, Callable]) -> dict[str, list[np.ndarray]]:
    """Seconds of the calls of each side: one array per round."""
    for call in sides.values():
        for _ in range(3):  # traces, and fills caches
            call()
    seconds: dict[str, list[np.ndarray]] = {name: [] for name in sides}
    for _ in range(_ROUNDS.value):
        for name, call in sides.items():
            calls: list[float] = []
            while len(calls) < _MIN_CALLS or sum(calls) < _SECONDS.value:
                begun = time.perf_counter()
                call()
                calls.append(time.perf_counter() - begun)
            seconds[name].append(np.array(calls))
    return seconds


def table(seconds: Mapping[str, list[np.ndarray]], batch_size: int) -> str:
    """A row for each side."""
    lines = [
        f"{'batch':>5} {'side':22} {'p50 ms':>8} {'p90 ms':>8} {'calls':>6}"
        "  times the export's p50 (rounds)"
    ]
    base = np.array([np.median(calls) for calls in seconds["export"]])
    for name, rounds in seconds.items():
        half, most = np.percentile(np.concatenate(rounds), (50, 90)) * 1e3
        ratio = np.array([np.median(calls) for calls in rounds]) / base
        lines.append(
            f"{batch_size:5} {name:22} {half:8.3f} {most:8.3f} {sum(map(len, rounds)):6}"
            f"  {np.median(ratio):.2f} ({ratio.min():.2f} to {ratio.max():.2f})"
        )
    return "\n".join(lines)


def _describe(facts: Mapping[str, Any]) -> str:
    hardware, versions = facts["hardware"], facts["versions"]
    threads = _THREADS.value or "one a core"
    return (
        f"{hardware['cpu']}, {hardware['cores']} cores, GPUs: {len(hardware['gpus'])}, threads: "
        f"{threads}; tensorflow {versions['tensorflow']}, keras {versions['keras']}"
    )


def main(argv: list[str]) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.set_verbosity(logging.ERROR)
    import_tensorflow()
    import tensorflow as tf

    from trainers.devices import precision as machine

    if _THREADS.value:
        tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
        tf.config.threading.set_inter_op_parallelism_threads(_THREADS.value)
    version, pipeline, settings, temporary = _exported(argv[1:])
    print(_describe(machine.describe()))
    print(f"{settings.model} on {pipeline.source}, float32", flush=True)
    for size in map(int, _BATCH_SIZES.value):
        sides = _sides(version, pipeline, settings, _batch(pipeline, size))
        _check(sides)
        print(table(measure(sides), size), flush=True)
    if temporary is not None:
        temporary.cleanup()


if __name__ == "__main__":
    app.run(main)
