"""Training speed compared with stock Keras, the tutorials' scripts and PyTorch: a table of ratios.

    TFDS_DATA_DIR=... python benchmarks/train_speed.py [--models=cifar_cnn,speed_cnn] [--rounds=5]

Every side has its own process, with the same network, batch, data, loss, kind of optimizer and
number of threads, on the CPU. All are built first; then one at a time trains for some seconds, in
another order every round, while the others wait. A ratio is taken within a round, since the speed
of machines drifts. Imports, tracing and compilation are reported separately (`start`, in seconds);
everything else in a step counts: gathering the batch, forward, backward, update, metrics.

    ours             the trainer: its kernels, stream, counted loop and monitor; no augmentation
    ours_recipe      the same with the recipe's optimizer, if PyTorch does not have it; the others
                     then use SGD with Nesterov momentum
    ours_by_length   ours with texts of their real lengths, batched by length
    keras_*          the zoo's network, `compile` and `fit` over shuffled tf.data, steps one by one
    article          the tutorial's script where there is one: batches of 32, its own input path
    torch_*          eager float32; eager and compiled under bfloat16 autocast, channels last

PyTorch is an extra: pip install -e '.[benchmark]'. Without TFDS_DATA_DIR the rows are random
numbers of the same shapes. Close everything else: with another program on the same cores a
small network fell to two thirds of its speed under TensorFlow and to a seventieth under PyTorch,
whose threads wait for each other at every operation. Turns that were not quiet are listed.
"""

import contextlib
import json
import os
import pathlib
import statistics
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec

from absl import app, flags
from side_process import Side, SideError, cpu_name, make_data
from sides import SIDES

from trainers.config.flags import parse

# The flags for each network; without augmentation, which PyTorch would need its own code for.
MODELS = {
    "cifar_cnn": ["--model=cifar_cnn", "--pipeline_options=augment=False"],
    "mnist_cnn": ["--model=mnist_cnn", "--pipeline_options=augment=False"],
    "mlp_binary": ["--flagfile=mnist_parity", "--pipeline_options=augment=False"],
    "speed_cnn": ["--model=speed_cnn", "--pipeline_options=augment=False"],
    "resnet20": ["--model=resnet20", "--pipeline_options=augment=False"],
    "transformer_encoder": ["--model=transformer_encoder"],
}
_ARTICLES = ("cifar_cnn", "mnist_cnn", "mlp_binary")
_TWINS = ("adam", "adamw", "sgd")  # optimizers that all sides have
_EXTRA = "pip install -e '.[benchmark]'"
_MAX_IDLE = 0.05  # of a core, used by a side that waits; prefetching batches takes a little
_MAX_OTHERS = 0.1  # of a core, used by the rest of the machine during a turn

_MODELS = flags.DEFINE_list("models", list(MODELS), "Networks to compare on.")
_SIDES = flags.DEFINE_list("sides", [], "Sides to compare; empty: all.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Turns per side.", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 4.0, "Minimum seconds per turn.", lower_bound=0.0)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 0, "Examples per step; 0: the recipe's.", lower_bound=0
)
_ACTIVATION = flags.DEFINE_enum("activation", "gelu", ["relu", "gelu"], "Activation of speed_cnn.")
_DATA = flags.DEFINE_enum(
    "data", None, ["tfds", "random"], "Rows to train on; default: tfds where TFDS_DATA_DIR is set."
)


def flags_of(model: str) -> tuple[list[str], list[str]]:
    """The command line of trainers.run that the sides of this network read, and `ours_recipe`."""
    arguments = [*MODELS[model], "--ema=0"]
    if model == "speed_cnn":
        arguments.append(f"--hparams=activation={_ACTIVATION.value}")
    if _BATCH_SIZE.value:
        arguments.append(f"--batch_size={_BATCH_SIZE.value}")
    # Small steps in an endless run: numbers stay finite whatever the data.
    arguments += ["--learning_rate=1e-5", "--epochs=1000000"]
    if parse(["", *arguments]).recipe.optimizer in _TWINS:
        return arguments, arguments
    return [*arguments, "--optimizer=sgd", "--momentum=0.9"], arguments


def sides_of(model: str, job: dict) -> list[str]:
    """The requested sides that this network has."""
    left_out = set()
    if job["flags"] == job["recipe_flags"]:
        left_out.add("ours_recipe")
    if model not in _ARTICLES:
        left_out.add("article")
    if model != "transformer_encoder" or job["random"]:
        left_out.add("ours_by_length")
    if not has("torch"):
        left_out |= {name for name in SIDES if name.startswith("torch")}
    return [name for name in _SIDES.value or SIDES if name not in left_out]


@contextlib.contextmanager
def started(names: list[str], job: dict) -> Iterator[tuple[dict[str, Side], dict[str, dict]]]:
    """The sides that could be built, by name, with the facts that each reports."""
    sides: dict[str, Side] = {}
    facts = {}
    try:
        for name in names:  # one after the other: compilation takes all cores
            sides[name] = Side(name, job)
            try:
                facts[name] = sides[name].answer()
            except SideError as error:
                sides.pop(name).end()
                print(f"left out: {error}")
        if not sides:
            raise SideError("no side is left to measure")
        yield sides, facts
    finally:
        for side in sides.values():
            side.end()


def measure(model: str, random: bool, threads: int) -> list[list[str]]:
    """All rounds of one network, as rows of the table."""
    with tempfile.TemporaryDirectory() as folder:
        arguments, own = flags_of(model)
        recipe = parse(["", *arguments]).recipe
        job = {"folder": folder, "flags": arguments, "recipe_flags": own, "threads": threads}
        job |= {"random": random, "pipeline": recipe.pipeline}
        make_data(job)
        data = json.loads(pathlib.Path(folder, "data.json").read_text(encoding="utf-8"))
        if recipe.batch_size > data["rows"]:
            raise SideError(f"--batch_size={recipe.batch_size}, {model} has {data['rows']} rows")
        print(f"{model}: {data['source']}, {recipe.optimizer}", flush=True)
        with started(sides_of(model, job), job) as (sides, facts):
            counts = {name: fact["parameters"] for name, fact in facts.items()}
            if len(set(counts.values())) > 1:
                raise RuntimeError(f"{model}: the sides differ in trainable parameters: {counts}")
            rates: dict[str, list[float]] = {name: [] for name in sides}
            for i in range(_ROUNDS.value):
                order = list(sides)
                order = order[i % len(order) :] + order[: i % len(order)]
                for name in order:
                    turn = sides[name].train(_SECONDS.value)
                    size = facts[name].get("batch_size", recipe.batch_size)
                    rates[name].append(turn["steps"] * size / turn["seconds"])
                    _warn(name, turn)
                summary = "  ".join(f"{name} {rates[name][-1]:.0f}" for name in sides)
                print(f"  round {i + 1}: {summary}", flush=True)
    return rows_of(model, recipe.batch_size, rates, facts)


def rows_of(
    model: str, batch_size: int, rates: dict[str, list[float]], facts: dict[str, dict]
) -> list[list[str]]:
    """One row per side: examples per second, and ours divided by its, as median and range."""
    better = max(
        (name for name in ("torch_bfloat16", "torch_compiled") if name in rates),
        key=lambda name: statistics.median(rates[name]),
        default=None,
    )
    rows = []
    for name, values in rates.items():
        ratio = ""
        if name != "ours" and "ours" in rates:
            ratio = spread([a / b for a, b in zip(rates["ours"], values, strict=True)], "{:.2f}")
        rows.append(
            [
                *(model, name + "*" * (name == better), facts[name]["precision"]),
                str(facts[name].get("batch_size", batch_size)),
                *(spread(values, "{:.0f}"), ratio, f"{facts[name]['warm_up']:.0f}"),
            ]
        )
    return rows


def spread(values: list[float], form: str) -> str:
    """Median (smallest..largest)."""
    middle, low, high = (form.format(f(values)) for f in (statistics.median, min, max))
    return f"{middle} ({low}..{high})"


def print_table(rows: list[list[str]]) -> None:
    """Prints the rows in columns as wide as their widest cell."""
    head = ["network", "side", "precision", "batch", "examples/s", "ours / side", "start"]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in [head, ["-" * width for width in widths], *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    print("* the better of PyTorch in bfloat16; median (smallest..largest) over the rounds")


def _warn(name: str, turn: dict) -> None:
    if turn["idle"] > _MAX_IDLE:
        print(f"  {name} used {turn['idle']:.0%} of a core while it should have rested")
    if turn.get("others", 0.0) > _MAX_OTHERS:
        print(f"  not quiet: others used {turn['others']:.0%} of a core in the turn of {name}")


def has(package: str) -> bool:
    """Whether the package is installed."""
    return find_spec(package) is not None


def main(argv: list[str]) -> None:
    del argv
    for flag, known in ((_MODELS, MODELS), (_SIDES, SIDES)):
        unknown = [name for name in flag.value if name not in known]
        if unknown:
            sys.exit(f"error: --{flag.name}: {unknown} not among {', '.join(known)}")
    if not has("torch"):
        if any(name.startswith("torch") for name in _SIDES.value):
            sys.exit(f"error: PyTorch is not installed: {_EXTRA}")
        print(f"without PyTorch, which is not installed: {_EXTRA}")
    random = (_DATA.value or ("tfds" if os.environ.get("TFDS_DATA_DIR") else "random")) == "random"
    affinity = getattr(os, "sched_getaffinity", None)  # macOS has none
    threads = len(affinity(0)) if affinity else os.cpu_count()
    versions = [f"{name} {version(name)}" for name in ("tensorflow", "keras", "torch") if has(name)]
    load = f"load {os.getloadavg()[0]:.1f} before the start"
    print(", ".join([cpu_name(), f"{threads} threads", load, *versions]), flush=True)
    rows: list[list[str]] = []
    try:
        for model in _MODELS.value:
            rows += measure(model, random, threads)
    except SideError as error:
        sys.exit(f"error: {error}")
    finally:  # also of those that were measured before an interruption
        if rows:
            print()
            print_table(rows)


if __name__ == "__main__":
    app.run(main)
