"""One side of gpu_speed.py, in its own process: `python benchmarks/gpu_sides.py SIDE JOB_JSON`.

Neither side computes with TensorFlow. Both take the initial weights from the zoo's Keras model, the
recipe's schedule from trainers.training.optimizers and the same batches in the same order; NumPy
draws the rows and their crops, the device gathers the pixels. Commands are read line by line, and
each answer is one line of JSON.
"""

import json
import os
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import zoo
from zoo.spec import DataSpec, Field, Recipe

EVALUATED = 1000  # images at a time


class Side(NamedTuple):
    """A network that one framework trains on one device."""

    device: str
    train: Callable[[int, list[np.ndarray]], None]  # (first step, draws (steps, B) each); waits
    accuracy: Callable[[], float]  # of the test images
    restart: Callable[[], None]  # back to the initial weights
    flops: int  # of one example, forward
    peak: Callable[[int], float]  # FLOP/s of a product of two bfloat16 matrices (n, n)


class Job(NamedTuple):
    """What a side has to train, parsed from its JSON."""

    model: str
    hparams: dict[str, Any] | None  # None: the zoo's tiny ones
    folder: str
    batch_size: int
    epochs: int
    seed: int
    spec: dict[str, Any]
    padding: int  # pixels around the stored images; 0 for tokens
    matrix: int  # size of the matrices of `peak`

    def rows(self, name: str) -> np.ndarray:
        """`train_x`, `train_y`, `test_x` or `test_y`."""
        return np.load(pathlib.Path(self.folder, f"{name}.npy"))

    @property
    def epoch_steps(self) -> int:
        """The number of whole batches of the training rows."""
        return len(self.rows("train_y")) // self.batch_size

    @property
    def recipe(self) -> Recipe:
        """The zoo's recipe, without the job's batch size and epochs."""
        return zoo.describe(self.model).recipe


def keras_model(job: Job):
    """The zoo's network in bfloat16 with its initial weights, adapted to data if it has to be."""
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.utils.set_random_seed(job.seed)
    entry = zoo.get(job.model)
    fields = {name: Field(tuple(shape), *rest) for name, (shape, *rest) in job.spec["x"].items()}
    spec = DataSpec(fields, **{k: v for k, v in job.spec.items() if k != "x"})
    model = entry.build(spec, **{**entry.hparams, **job.hparams})
    if entry.adapt:
        edge = slice(job.padding, -job.padding or None)
        images = job.rows("train_x")[: 5 * EVALUATED, edge, edge]
        inputs = {"image": images.astype(np.float32) / 127.5 - 1.0}
        values = entry.adapt(model, [(inputs, job.rows("train_y")[: len(images)])])
        for variable in model.weights:
            if variable.path in values:
                variable.assign(values[variable.path])
    return model, spec


def optimizer_of(job: Job, model):
    """The recipe's optimizer for the run's steps; variables are built and factors applied."""
    from trainers.training import optimizers

    recipe = job.recipe
    optimizers.freeze(model, recipe.lr_scale)
    optimizer = optimizers.build(recipe, job.epochs * job.epoch_steps)
    optimizers.build_variables(optimizer, model.trainable_variables, recipe.lr_scale)
    return optimizer


def flops(model) -> int:
    """FLOPs of the matrix products of one example, forward: 2 x outputs x length of each sum."""
    total = 0
    for operation in model.operations:
        kind = type(operation).__name__
        if kind not in ("Conv2D", "Dense", "Matmul", "Einsum"):
            continue
        if kind == "Einsum":
            raise ValueError(
                f"{operation.name}: FLOPs are counted of Conv2D, Dense and Matmul, received {kind}"
            )
        inputs = operation.input[0] if kind == "Matmul" else operation.input
        length = inputs.shape[-1] if kind == "Matmul" else np.prod(operation.kernel.shape[:-1])
        total += 2 * int(length) * int(np.prod(operation.output.shape[1:]))
    return total


def draws(job: Job, epoch: int, steps: int | None = None) -> list[np.ndarray]:
    """Rows of an epoch's batches, and how each is cropped and flipped: (steps, B) int32 each."""
    random = np.random.default_rng((job.seed, epoch))
    steps = steps or job.epoch_steps
    count, used = len(job.rows("train_y")), steps * job.batch_size
    order = np.concatenate([random.permutation(count) for _ in range(-(-used // count))])[:used]
    offsets = random.integers(0, 2 * job.padding + 1, (2, used))
    columns = [order, *offsets, random.integers(0, 2, used)]
    return [c.reshape(steps, job.batch_size).astype(np.int32) for c in columns]


def rates(job: Job) -> list[float]:
    """The recipe's learning rate at every step, for a side that does not use Keras."""
    from trainers.training import optimizers

    recipe, total = job.recipe, job.epochs * job.epoch_steps
    schedule = optimizers.Schedule(
        recipe.schedule, recipe.learning_rate, total, recipe.warmup_steps
    )
    return [float(schedule(step)) for step in range(total)]


def serve(side: Side, job: Job, answers) -> None:
    """Answers the commands of gpu_speed.py until its input ends."""
    for line in sys.stdin:
        command, _, number = line.strip().partition(" ")
        answer: dict[str, Any] = {}
        if command == "peak":
            peak = side.peak(job.matrix)
            answer = {"device": side.device, "flops": side.flops, "peak": peak}
        elif command == "turn":
            batches = draws(job, 0, int(number))
            begun = time.perf_counter()
            side.train(0, batches)
            answer = {"seconds": time.perf_counter() - begun}
        elif command == "restart":
            side.restart()
        elif command == "epoch":
            begun = time.perf_counter()
            side.train(int(number) * job.epoch_steps, draws(job, int(number)))
            answer = {"seconds": time.perf_counter() - begun, "accuracy": side.accuracy()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main(argv: list[str]) -> None:
    # Only answers go to the standard output; everything else that is printed goes to the log.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    job = Job(**json.loads(argv[2]))
    if job.hparams is None:
        job = job._replace(hparams=dict(zoo.get(job.model).tiny))
    if argv[1] == "jax":
        import gpu_jax

        side = gpu_jax.side(job)
    else:
        import gpu_torch

        side = gpu_torch.side(job, compiled=argv[1] == "torch_compiled")
    serve(side, job, answers)


if __name__ == "__main__":
    main(sys.argv)
