"""The model that a run trains: built for its data, compiled by its recipe."""

import keras
import tensorflow as tf

import zoo
from pipelines import Pipeline
from pipelines.core.specs import batch_signature
from pipelines.core.stream import num_steps
from trainers.config.settings import Settings
from trainers.devices import keras_patches as distribute
from trainers.errors import UsageError
from trainers.tasks.registry import TASKS, reported_loss
from trainers.training import kernels, optimizers

_MOST_STEPS_PER_EXECUTION = 16  # a signal is answered between two executions


def build(settings: Settings, pipeline: Pipeline, policy: str) -> keras.Model:
    """The model for this data under a dtype policy.

    Raises:
        UsageError: the model does not take this data.
    """
    entry = zoo.get(settings.model)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = entry.build(pipeline.spec, **{**entry.hparams, **settings.hparams})
        if pipeline.task != "regression":
            return model
        mean, deviation = units(pipeline)
        # Networks answer with numbers around zero; the user's numbers have a place and a unit.
        rescale = keras.layers.Rescaling(deviation, mean, dtype="float32", name="units")
        return keras.Model(model.inputs, rescale(model.output), name=model.name)
    except ValueError as error:
        raise UsageError(f"{settings.model} on {pipeline.name}: {error}") from error
    finally:
        keras.config.set_dtype_policy(before)


def units(pipeline: Pipeline) -> tuple[float, float]:
    """Mean and standard deviation of a regression's training targets, as `prepare` found them."""
    state = pipeline.state
    return float(state.get("target_mean", 0.0)), float(state.get("target_deviation", 1.0))


def compiled(
    settings: Settings, pipeline: Pipeline, strategy: tf.distribute.Strategy, policy: str
) -> keras.Model:
    """The model ready for `fit`: optimizer, loss and metrics with all their variables built."""
    recipe, task = settings.recipe, TASKS[pipeline.task]
    epoch_steps = num_steps(pipeline, "train", batch_size=recipe.batch_size, training=True)
    # Names that Keras counts up, and start weights, do not depend on what this process did before.
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(recipe.seed)
    with strategy.scope():
        model = build(settings, pipeline, policy)
        if recipe.kernels == "auto":
            kernels.install(model)
        optimizers.freeze(model.trainable_variables, recipe.lr_scale)
        if recipe.l1 or recipe.l2:
            for variable in model.trainable_variables:
                if len(variable.shape) >= 2:  # kernels and embeddings
                    variable.regularizer = keras.regularizers.L1L2(recipe.l1, recipe.l2)
        model.compile(
            optimizer=optimizers.build(recipe, recipe.epochs * epoch_steps),
            loss=task.loss(recipe.label_smoothing),
            # A regression is trained in units of the targets' deviation, and reported in theirs.
            loss_weights=[units(pipeline)[1] ** -2] if pipeline.task == "regression" else None,
            weighted_metrics=[reported_loss(task), *task.metrics(pipeline.spec.num_outputs)],
            steps_per_execution=recipe.steps_per_execution
            or max(1, min(_MOST_STEPS_PER_EXECUTION, epoch_steps // 10)),
            jit_compile=False,  # on a CPU it makes convolutions 1.4 to 5 times slower
        )
        optimizers.finish(model.optimizer, model.trainable_variables, recipe.lr_scale)
        distribute.cure(model, batch_signature(pipeline), strategy)
    return model
