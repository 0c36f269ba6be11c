"""The zoo's speed_cnn and transformer_encoder on one GPU: Keras under JAX compared with PyTorch.

    python benchmarks/gpu_speed.py                                   # speed, on random rows
    python benchmarks/gpu_speed.py --make_data=cifar10.npz           # elsewhere, where TFDS is
    python benchmarks/gpu_speed.py --models=speed_cnn --data=cifar10.npz --target=0.90

Needs Keras, TensorFlow (its CPU package is enough: the optimizers import it), JAX, PyTorch and,
with --data, Pillow; this package need not be installed: the repository's root on PYTHONPATH is
enough. The file of --make_data has the images as TFDS stores them: 56 MB as JPEG, more as PNG.
Without a GPU everything runs on the CPU, which only shows that it works; --tiny is for that.

Every side has its own process, with the same network, initial weights, batches, crops, loss and
optimizer, in bfloat16 with float32 weights, and its data on the device. They take turns; a ratio
compares two turns of the same round. Compilation is not timed.

    jax             the Keras model as pure functions, the steps of a turn in one compiled loop
    torch_eager     torch_networks.py, channels last, autocast, PyTorch's fused optimizers
    torch_compiled  the same through torch.compile, Muon's update too

FLOPs are those of matrix products and convolutions, computed from the layers' shapes, three times
the forward pass; model FLOP utilisation is their rate divided by the best rate that either
framework reached on a product of two bfloat16 matrices. Time to accuracy is the training time of
the zoo's recipe on all 50 000 images, without evaluation, for seeds 0, 1, ...; accuracy is without
test-time augmentation.
"""

import io
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np
from absl import app, flags

import zoo

_SIDES = ("jax", "torch_eager", "torch_compiled")
_SIZES = {"transformer_encoder": {"width": 512, "num_layers": 8, "num_heads": 8, "mlp_dim": 2048}}
_LENGTH, _VOCABULARY = 512, 16_000
_PADDING = 4  # as pipelines/cifar10.py

_MODELS = flags.DEFINE_list("models", ["speed_cnn", "transformer_encoder"], "Models to train.")
_WHICH = flags.DEFINE_list("sides", list(_SIDES), "Sides to compare.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 0, "Examples per step; 0: the recipe's.")
_STEPS = flags.DEFINE_integer("steps", 100, "Steps per turn.")
_ROUNDS = flags.DEFINE_integer("rounds", 7, "Turns per side.")
_DATA = flags.DEFINE_string("data", "", "File of --make_data; without it, random rows.")
_MAKE_DATA = flags.DEFINE_string("make_data", "", "File to write TFDS's CIFAR-10 to; then exit.")
_TARGET = flags.DEFINE_float("target", 0.90, "Test accuracy to reach, with --data.")
_EPOCHS = flags.DEFINE_integer("epochs", 0, "Epochs of time to accuracy; 0: the recipe's.")
_SEEDS = flags.DEFINE_integer("seeds", 5, "Runs of time to accuracy.")
_TINY = flags.DEFINE_bool("tiny", False, "Smallest networks and few rows, as a quick check.")


def make_data(path: str) -> None:
    """Writes CIFAR-10: the encoded images end to end, where each ends, and the labels."""
    import tensorflow_datasets as tfds

    arrays = {}
    for split in ("train", "test"):
        kept = {"image": tfds.decode.SkipDecoding()}
        rows = list(tfds.as_numpy(tfds.load("cifar10", split=split, decoders=kept)))
        images = [row["image"] for row in rows]
        arrays[f"{split}_bytes"] = np.frombuffer(b"".join(images), np.uint8)
        arrays[f"{split}_ends"] = np.cumsum([len(image) for image in images])
        arrays[f"{split}_y"] = np.array([row["label"] for row in rows], np.int32)
    np.savez(path, **arrays)


def write_rows(folder: pathlib.Path, model: str) -> dict:
    """Writes the rows for all sides; what a side must know about them."""
    random, small = np.random.default_rng(0), _TINY.value
    if model == "transformer_encoder":
        length, vocabulary = (16, 100) if small else (_LENGTH, _VOCABULARY)
        x = random.integers(5, vocabulary, (64 if small else 10_000, length), np.int32)
        for split in ("train", "test"):
            np.save(folder / f"{split}_x.npy", x)
            np.save(folder / f"{split}_y.npy", random.integers(0, 2, len(x), np.int32))
        x_fields = {"tokens": ((length,), "int32", vocabulary, length)}
        return {"padding": 0, "spec": {"x": x_fields, "task": "binary", "num_outputs": 1}}
    for split, count in (("train", 64 if small else 50_000), ("test", 64 if small else 10_000)):
        if _DATA.value:
            x, y = _stored(split)
        else:
            x = random.integers(0, 256, (count, 32, 32, 3), np.uint8)
            y = random.integers(0, 10, count, np.int32)
        if split == "train":
            edges = ((0, 0), (_PADDING, _PADDING), (_PADDING, _PADDING), (0, 0))
            x = np.pad(x, edges, mode="reflect")
        np.save(folder / f"{split}_x.npy", x)
        np.save(folder / f"{split}_y.npy", y)
    spec = {"x": {"image": ((32, 32, 3), "float32")}, "task": "classification", "num_outputs": 10}
    return {"padding": _PADDING, "spec": spec}


def _stored(split: str) -> tuple[np.ndarray, np.ndarray]:
    from PIL import Image

    with np.load(_DATA.value, allow_pickle=False) as file:
        content, ends, y = (file[f"{split}_{name}"] for name in ("bytes", "ends", "y"))
    if _TINY.value:
        ends, y = ends[:64], y[:64]
    parts = (content[first:end] for first, end in zip([0, *ends[:-1]], ends, strict=True))
    images = [np.asarray(Image.open(io.BytesIO(part.tobytes())).convert("RGB")) for part in parts]
    return np.stack(images), y


class Process:
    """A side's process; RuntimeError with the end of its log if it ends without an answer."""

    def __init__(self, side: str, job: dict):
        self._log = pathlib.Path(job["folder"], f"{side}-{job['seed']}.log")
        environment = {
            **os.environ,
            "KERAS_BACKEND": side.partition("_")[0],
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # the card is shared
        }
        program = pathlib.Path(__file__).with_name("gpu_sides.py")
        with open(self._log, "w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(program), side, json.dumps(job)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
            )

    def ask(self, command: str) -> dict:
        """The side's answer to a command."""
        print(command, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(self._log.read_text(encoding="utf-8")[-2000:])
        return json.loads(line)

    def end(self) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def spread(values: list[float], form: str) -> str:
    """The median with the minimum and maximum."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def main(argv: list[str]) -> None:
    del argv
    if _MAKE_DATA.value:
        make_data(_MAKE_DATA.value)
        return
    for model in _MODELS.value:
        with tempfile.TemporaryDirectory() as folder:
            compare(model, pathlib.Path(folder))


def compare(model: str, folder: pathlib.Path) -> None:
    """Prints the tables of one network."""
    recipe = zoo.describe(model).recipe
    job = {
        "model": model,
        "hparams": None if _TINY.value else _SIZES.get(model, {}),  # None: the zoo's tiny ones
        "folder": str(folder),
        "batch_size": 16 if _TINY.value else _BATCH_SIZE.value or recipe.batch_size,
        "epochs": 2 if _TINY.value else _EPOCHS.value or recipe.epochs,
        "seed": 0,
        "matrix": 256 if _TINY.value else 8192,
        **write_rows(folder, model),
    }
    steps = 3 if _TINY.value else _STEPS.value
    rows = "CIFAR-10" if _DATA.value and model == "speed_cnn" else "random rows"
    print(f"\n{model} {job['hparams'] or ''} on {rows}, batch {job['batch_size']}", flush=True)
    sides = {name: Process(name, job) for name in _WHICH.value}
    try:
        measure(sides, job, steps)
    finally:
        for side in sides.values():
            side.end()
    if _DATA.value and model == "speed_cnn":
        for name in sides:
            print(time_to_accuracy(name, job), flush=True)


def measure(sides: dict[str, Process], job: dict, steps: int) -> None:
    """Prints devices, peaks and the table of speeds."""
    facts = {}
    for name, side in sides.items():
        facts[name] = side.ask("peak")
        print(f"{name}: {facts[name]['device']}, {facts[name]['peak'] / 1e12:.1f} TFLOP/s")
        for _ in range(2):  # the first compiles
            side.ask(f"turn {steps}")
    examples = steps * job["batch_size"]
    turns = [
        {name: examples / sides[name].ask(f"turn {steps}")["seconds"] for name in sides}
        for _ in range(_ROUNDS.value)
    ]
    peak = max(fact["peak"] for fact in facts.values())
    flops = 3 * facts[next(iter(sides))]["flops"]  # forward, and twice that backward
    print(f"{flops / 1e9:.4g} GFLOP an example; peak {peak / 1e12:.1f} TFLOP/s, measured")
    print(
        f"{'side':15} {'examples/s':>28} {'TFLOP/s':>8} {'utilisation':>11}  times PyTorch's best"
    )
    for name in sides:
        speeds = [turn[name] for turn in turns]
        rate = flops * statistics.median(speeds)
        others = [[turn[o] for o in sides if o.startswith("torch")] for turn in turns]
        ratio = [turn[name] / max(o) for turn, o in zip(turns, others, strict=True) if o]
        print(
            f"{name:15} {spread(speeds, '.0f'):>28} {rate / 1e12:8.2f} {rate / peak:11.3f}"
            f"  {spread(ratio, '.2f') if ratio else ''}",
            flush=True,
        )


def time_to_accuracy(name: str, job: dict) -> str:
    """A line about runs of the whole recipe: seconds until the target, and final accuracies."""
    reached, seconds, last = [], [], []
    for seed in range(_SEEDS.value):
        side = Process(name, {**job, "seed": seed})
        try:
            side.ask("epoch 0")  # compiles
            side.ask("restart")
            answers = [side.ask(f"epoch {epoch}") for epoch in range(job["epochs"])]
        finally:
            side.end()
        clock = np.cumsum([answer["seconds"] for answer in answers])
        good = [answer["accuracy"] >= _TARGET.value for answer in answers]
        reached += [clock[good.index(True)]] if any(good) else []
        seconds.append(clock[-1])
        last.append(answers[-1]["accuracy"])
    return (
        f"{name:15} {_TARGET.value} in {len(reached)} of {len(last)} runs"
        f"{', after ' + spread(reached, '.2f') + ' s' if reached else ''}; {job['epochs']} epochs: "
        f"{spread(last, '.4f')} in {spread(seconds, '.2f')} s"
    )


if __name__ == "__main__":
    app.run(main)
