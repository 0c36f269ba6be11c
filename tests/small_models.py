"""Models of a few layers, compiled as a run compiles its own."""

import keras
import numpy as np
import tensorflow as tf

from trainers.devices import keras_patches, loop
from trainers.devices.strategy import choose
from trainers.training import kernels, loss_scale, optimizers
from trainers.training.model import Objective, TrainedModel
from zoo.spec import Recipe


def compiled_model(inputs, outputs, loss: keras.losses.Loss, **changes) -> TrainedModel:
    """The functional model, ready for its step; within the scope of its strategy.

    Args:
        changes: of the objective, of the recipe (optimizer, learning_rate, ...), `ways`, `policy`
            and `steps_per_execution`.
    """
    ways, policy = changes.pop("ways", ()), changes.pop("policy", "float32")
    per_call = changes.pop("steps_per_execution", 1)
    fields = {"reduction", "clip_norm", "keep_rows", "batch_size", "elements"}
    objective = {name: changes.pop(name) for name in fields & changes.keys()}
    recipe = Recipe(
        pipeline="shapes", **{"optimizer": "sgd", "momentum": 0.0, "learning_rate": 0.1, **changes}
    )
    model = TrainedModel(inputs, outputs)
    loss.reduction = None
    metric = keras.metrics.MeanMetricWrapper(lambda y, outputs: loss(y, outputs), name="loss")
    kernels.install(model)
    optimizers.freeze(model, recipe.lr_scale)
    optimizer = optimizers.build(recipe, total_steps=1000)
    if policy == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    objective = {"batch_size": 8, "elements": 1, **objective}
    objective = Objective(loss=loss, metrics=[metric], **objective)
    model.compile(optimizer, objective, ways, steps_per_execution=per_call, jit_compile=False)
    optimizers.build_variables(model.optimizer, model.trainable_variables, recipe.lr_scale)
    keras_patches.without_own_sum(loss_scale.unwrapped(model.optimizer))
    keras_patches.without_symbolic_build(model)
    return model


def run_steps(model: TrainedModel, batches: list[tuple], replicas: int = 1) -> None:
    """Takes one step for each batch of arrays (x, y, weight), all in one call."""
    strategy = choose(replicas)
    batches = [tf.nest.map_structure(np.asarray, batch) for batch in batches]
    stacked = tf.nest.map_structure(lambda *parts: np.stack(parts), *batches)
    model.steps_per_execution = len(batches)
    loop.count_steps(model, strategy, steps=len(batches), validation_steps=1)
    data = tf.data.Dataset.from_tensor_slices(stacked)
    model.train_function(iter(strategy.experimental_distribute_dataset(data)))


def state_of(model: TrainedModel) -> dict[str, np.ndarray]:
    """Weights and the optimizer's variables, by path."""
    variables = [*model.variables, *model.optimizer.variables]
    return {variable.path: np.asarray(variable.numpy()) for variable in variables}
