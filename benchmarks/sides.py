"""One side of train_speed.py, in its own process: `python benchmarks/sides.py SIDE JOB_JSON`.

It builds its network, takes the steps that trace and compile, and reports that. Then it trains on
request: it reads a line with seconds, and answers with a line of JSON with steps and seconds.
Between two turns it waits inside its own loop, so that nothing is built or traced again.
"""

import json
import os
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import speed_data

from trainers.config.flags import parse
from trainers.config.settings import Settings

_BATCH_SIZE = 32  # of the tutorials
_FOREVER = 1_000_000  # epochs


class Turns:
    """Pauses a training loop after its first calls and after every turn, and measures the time.

    The first call of a turn is not timed: caches are cold, but batches are prefetched.
    """

    def __init__(self, answers):
        self._answers = answers
        self._begun = time.perf_counter()
        self._warm_calls = 2  # the first traces and compiles
        self._start: tuple[float, int] | None = None

    def built(self, **facts: Any) -> None:
        """Reports facts about the network."""
        self._facts = facts

    def after_call(self, steps: int) -> None:
        """Call it after every call of the training function, with the number of steps so far."""
        now = time.perf_counter()
        if self._warm_calls:
            self._warm_calls -= 1
            if not self._warm_calls:
                self._say({"warm_up": now - self._begun, **self._facts})
        elif self._start is None:
            self._start = now, steps
        elif now - self._start[0] >= self._seconds:
            begun, before = self._start
            spent = {"wall": now - self._requested, "used": time.process_time() - self._used}
            turn = {"steps": steps - before, "seconds": now - begun, "idle": self._idle}
            self._say({**turn, **spent})

    def _say(self, answer: dict) -> None:
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()
        waited, used = time.perf_counter(), time.process_time()
        line = sys.stdin.readline()
        if not line:  # the other end is closed: there are no more turns
            os._exit(0)
        self._seconds = float(line)
        # Fraction of a core that this side used while it should have been idle.
        self._requested, self._used = time.perf_counter(), time.process_time()
        self._idle = (self._used - used) / max(self._requested - waited, 1e-3)
        self._start = None


def ours(job: dict, settings: Settings, turns: Turns, *, by_length: bool = False) -> None:
    """The trainer: its model, its stream, its counted loop, its monitor."""
    from pipelines.core.stream import num_steps, stream
    from trainers.devices import loop
    from trainers.devices import precision as machine
    from trainers.devices import strategy as strategies
    from trainers.store.run_folder import Run
    from trainers.training import compile as assembly
    from trainers.training.callbacks.monitor import Monitor

    recipe, folder = settings.recipe, pathlib.Path(job["folder"])
    strategy = strategies.choose(1)
    precision, _ = machine.choose_precision(recipe.precision)
    pipeline = speed_data.prepared_of(folder, real_lengths=by_length)
    model = assembly.compiled(settings, pipeline, strategy, machine.policy(precision))
    turns.built(parameters=_trainable(model), precision=precision)
    steps = num_steps(pipeline, "train", batch_size=recipe.batch_size, training=True)
    loop.count_steps(model, strategy, steps=steps, validation_steps=1, skip=0)
    model.fit(
        stream(pipeline, "train", batch_size=recipe.batch_size, training=True, seed=recipe.seed),
        epochs=recipe.epochs,
        steps_per_epoch=steps,
        callbacks=[
            Monitor(
                Run(folder / job["side"], "side", settings, pipeline, {}),
                step=0,
                validated=True,
                epoch_steps=steps,
            ),
            _callback(turns),
        ],
        shuffle=False,
        verbose=0,
    )


def stock_keras(job: dict, settings: Settings, turns: Turns, *, policy: str) -> None:
    """The same network by `compile` and `fit` over a `tf.data.Dataset`, as in Keras's guides."""
    import keras
    import tensorflow as tf

    import zoo
    from trainers.training import optimizers

    recipe, spec = settings.recipe, speed_data.spec_of(job["folder"])
    x, y = speed_data.arrays_of(job["folder"])
    keras.config.set_dtype_policy(policy)
    entry = zoo.get(settings.model)
    model = entry.build(spec, **{**entry.hparams, **settings.hparams})
    optimizers.freeze(model, recipe.lr_scale)  # what the recipe does not train
    own = {"sgd": {"momentum": recipe.momentum, "nesterov": recipe.momentum > 0}}
    optimizer = keras.optimizers.get(
        {
            "class_name": recipe.optimizer,
            "config": {
                "learning_rate": recipe.learning_rate,
                "weight_decay": recipe.weight_decay or None,
                "global_clipnorm": recipe.clip_norm or None,
                **own.get(recipe.optimizer, {}),
            },
        }
    )
    if spec.task == "binary":
        loss = keras.losses.BinaryCrossentropy(True, label_smoothing=recipe.label_smoothing)
    elif recipe.label_smoothing:
        y = keras.utils.to_categorical(y, spec.num_outputs)
        loss = keras.losses.CategoricalCrossentropy(True, recipe.label_smoothing)
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    turns.built(parameters=_trainable(model), precision=policy.removeprefix("mixed_"))
    (name,) = spec.inputs
    data = tf.data.Dataset.from_tensor_slices(({name: x}, y)).shuffle(len(x))
    data = data.batch(recipe.batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
    model.fit(data, epochs=_FOREVER, callbacks=[_callback(turns)], verbose=0)


def article(job: dict, settings: Settings, turns: Turns) -> None:
    """The tutorial's script for this network: batches of 32, its own pipeline, float32."""
    import keras
    import tensorflow as tf

    spec, layers = speed_data.spec_of(job["folder"]), keras.layers
    [field] = spec.inputs.values()
    if settings.model == "mlp_binary":
        parts = [layers.Dense(64, activation="relu"), layers.Dense(64, activation="relu")]
        head = layers.Dense(1, activation="sigmoid")
        loss = "binary_crossentropy"
    else:
        parts = [
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
        ]
        head = layers.Dense(10, activation="softmax")
        loss = "sparse_categorical_crossentropy"
    model = keras.Sequential([keras.Input(field.shape), *parts, head])
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    turns.built(parameters=_trainable(model), precision="float32", batch_size=_BATCH_SIZE)
    callbacks = [_callback(turns)]
    if settings.model != "cifar_cnn":
        x, y = speed_data.arrays_of(job["folder"])
        model.fit(x, y, batch_size=_BATCH_SIZE, epochs=_FOREVER, callbacks=callbacks, verbose=0)
        return

    def preprocess(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.cast(image, tf.float32) / 255.0
        return tf.image.resize(image, [32, 32]), label

    data = speed_data.stored_images(job["folder"])
    data = data.map(preprocess).batch(_BATCH_SIZE).shuffle(buffer_size=1000)
    model.fit(data, epochs=_FOREVER, callbacks=callbacks, verbose=0)


def pytorch(
    job: dict, settings: Settings, turns: Turns, *, bfloat16: bool, compiled: bool = False
) -> None:
    """The same network in PyTorch, with rows gathered by index and fused optimizers."""
    import torch
    import torch_networks

    recipe, spec = settings.recipe, speed_data.spec_of(job["folder"])
    torch.set_num_threads(job["threads"])
    torch.manual_seed(recipe.seed)
    network = torch_networks.build(settings.model, spec, settings.hparams).train()
    torch_networks.freeze(network, recipe.lr_scale)
    x, y = (torch.from_numpy(np.array(column)) for column in speed_data.arrays_of(job["folder"]))
    channels_last = x.ndim == 4 and bfloat16
    if channels_last:  # x is stored like that: (N, H, W, C)
        network = network.to(memory_format=torch.channels_last)
    elif x.ndim == 4:
        x = x.permute(0, 3, 1, 2).contiguous()
    weights = [p for p in network.parameters() if p.requires_grad]
    turns.built(
        parameters=sum(p.numel() for p in weights), precision="bfloat16" if bfloat16 else "float32"
    )
    call = torch.compile(network) if compiled else network
    optimizer = torch_networks.optimizer(recipe, weights)
    if spec.task == "binary":
        y = y.float()[:, None]
        loss_of = torch.nn.BCEWithLogitsLoss()
    else:
        loss_of = torch.nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    steps, total, size = 0, torch.zeros(()), recipe.batch_size
    while True:
        order = torch.randperm(len(x))
        for first in range(0, len(x) - size + 1, size):
            index = order[first : first + size]
            inputs = x.index_select(0, index)
            if channels_last:
                inputs = inputs.permute(0, 3, 1, 2)  # (B, C, H, W), not moved in memory
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                logits = call(inputs)
            loss = loss_of(logits.float(), y.index_select(0, index))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if recipe.clip_norm:
                torch.nn.utils.clip_grad_norm_(weights, recipe.clip_norm)
            optimizer.step()
            total += loss.detach()
            steps += 1
            turns.after_call(steps)


SIDES: dict[str, tuple[Callable, dict]] = {
    "ours": (ours, {}),
    "ours_recipe": (ours, {}),
    "ours_by_length": (ours, {"by_length": True}),
    "keras_float32": (stock_keras, {"policy": "float32"}),
    "keras_bfloat16": (stock_keras, {"policy": "mixed_bfloat16"}),
    "article": (article, {}),
    "torch_float32": (pytorch, {"bfloat16": False}),
    "torch_bfloat16": (pytorch, {"bfloat16": True}),
    "torch_compiled": (pytorch, {"bfloat16": True, "compiled": True}),
}


def _callback(turns: Turns):
    import keras

    class AfterCall(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            turns.after_call(int(self.model.optimizer.iterations.numpy()))

    return AfterCall()


def _trainable(model) -> int:
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def main(argv: list[str]) -> None:
    # Only answers go to the standard output; everything else that is printed goes to the log.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    turns = Turns(answers)
    job = json.loads(argv[2])
    side, options = SIDES[argv[1]]
    arguments = job["recipe_flags" if argv[1] == "ours_recipe" else "flags"]
    side(job, parse(["", *arguments]), turns, **options)


if __name__ == "__main__":
    main(sys.argv)
