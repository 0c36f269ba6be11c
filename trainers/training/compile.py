"""The model that a run trains: built for its data, compiled by its recipe."""

import keras
import tensorflow as tf

import zoo
from pipelines.core.plan import Plan
from pipelines.core.prepared import Prepared
from pipelines.core.stream import num_steps
from trainers.config.settings import Settings
from trainers.devices import keras_patches, machine
from trainers.devices.machine import Choices
from trainers.errors import UsageError
from trainers.evaluation.metrics import measures
from trainers.tasks import registry as tasks
from trainers.training import features, kernels, loss_scale, members, optimizers
from trainers.training.model import Objective, TrainedModel
from trainers.ways import registry


def build(settings: Settings, prepared: Prepared, policy: str) -> keras.Model:
    """The model for this data under a dtype policy, with one answer per row.

    Raises:
        UsageError: the model does not take this data.
    """
    model = trainable(settings, prepared, policy)
    return members.combined(model, tasks.get(prepared.task))


def trainable(settings: Settings, prepared: Prepared, policy: str) -> keras.Model:
    """Like `build`, but with the outputs that the loss takes: those of each member, if any.

    Raises:
        UsageError: the model does not take this data.
    """
    entry = zoo.get(settings.model)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = entry.build(prepared.spec, **{**entry.hparams, **settings.hparams})
        task = tasks.get(prepared.task)
        if task.over_features is not None:
            outputs = task.over_features(features.of(model, entry), prepared)
            model = keras.Model(model.input, outputs, name=model.name)
        model = task.head(model, prepared)
        for way in registry.get(settings.way, settings.way_options):
            if way.transform is not None:
                model = way.transform(model)
        return model
    except ValueError as error:
        raise UsageError(f"{settings.model} on {prepared.name}: {error}") from error
    finally:
        keras.config.set_dtype_policy(before)


def choices(settings: Settings, prepared: Prepared, strategy: tf.distribute.Strategy) -> Choices:
    """How this machine trains the run; what the recipe sets is kept."""
    chosen = machine.choose(
        machine.this_machine(), strategy.num_replicas_in_sync, epoch_steps(settings, prepared)
    )
    if settings.recipe.steps_per_execution:
        chosen = chosen._replace(steps_per_execution=settings.recipe.steps_per_execution)
    return chosen


def plan(settings: Settings, prepared: Prepared) -> Plan | None:
    """The plan of the training rows from a way that has one; None: the default plan."""
    recipe = settings.recipe
    for way in registry.get(settings.way, settings.way_options):
        if way.plan is not None:
            return way.plan(prepared, batch_size=recipe.batch_size, seed=recipe.seed)
    return None


def epoch_steps(settings: Settings, prepared: Prepared) -> int:
    """Training steps of an epoch."""
    own = plan(settings, prepared)
    if own is not None:
        return own.steps
    return num_steps(prepared, "train", batch_size=settings.recipe.batch_size, training=True)


def compiled(
    settings: Settings, prepared: Prepared, strategy: tf.distribute.Strategy, policy: str
) -> TrainedModel:
    """The model ready for `fit`: optimizer, objective and metrics, all variables built."""
    recipe, chosen = settings.recipe, choices(settings, prepared, strategy)
    ways = registry.get(settings.way, settings.way_options)
    # So numbered layer names and initial weights do not depend on what this process did before.
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(recipe.seed)
    with strategy.scope():
        built = trainable(settings, prepared, policy)
        model = TrainedModel(built.input, built.output, name=built.name)
        for way in ways:
            if way.check is not None:
                way.check(model)
        if recipe.kernels == "auto":
            kernels.install(model)
        optimizers.freeze(model, recipe.lr_scale, zoo.describe(settings.model).recipe.lr_scale)
        if recipe.l1 or recipe.l2:
            for variable in model.trainable_variables:
                if len(variable.shape) >= 2:  # kernels and embeddings
                    variable.regularizer = keras.regularizers.L1L2(recipe.l1, recipe.l2)
        optimizer = optimizers.build(recipe, recipe.epochs * epoch_steps(settings, prepared))
        keep_rows = strategy.num_replicas_in_sync == 1 and optimizers.takes_rows(optimizer, model)
        if policy == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale_optimizer")
        model.compile(
            optimizer,
            _objective(settings, prepared, model.output, keep_rows),
            ways,
            steps_per_execution=chosen.steps_per_execution,
            jit_compile=chosen.jit_compile and not keep_rows,  # XLA cannot merge repeated rows
        )
        optimizers.build_variables(model.optimizer, model.trainable_variables, recipe.lr_scale)
        keras_patches.without_own_sum(loss_scale.unwrapped(model.optimizer))
        keras_patches.without_symbolic_build(model)
        if strategy.num_replicas_in_sync > 1:
            keras_patches.differ_by_replica(model)
            keras_patches.normalise_together(model)
        _build_metrics(model, prepared.batch_signature)
    return model


def _objective(settings: Settings, prepared: Prepared, output, keep_rows: bool) -> Objective:
    recipe, task = settings.recipe, tasks.get(prepared.task)
    loss, answer = members.trained(task, _loss(settings, prepared), output)
    scale = task.loss_scale(prepared) if task.loss_scale else 1.0
    return Objective(
        loss=lambda y, outputs, weight: scale * loss(y, outputs, weight),
        answer=answer,
        metrics=measures(task, prepared),
        batch_size=recipe.batch_size,
        reduction=task.reduction,
        elements=prepared.elements,
        clip_norm=recipe.clip_norm,
        keep_rows=keep_rows,
    )


def _loss(settings: Settings, prepared: Prepared) -> keras.losses.Loss:
    """The task's loss. A task without classes ignores the smoothing of the model's own recipe.

    Raises:
        UsageError: the user set label smoothing for such a task.
    """
    task, smoothing = tasks.get(prepared.task), settings.recipe.label_smoothing
    if task.smooths:
        return task.loss(prepared, smoothing)
    if smoothing not in (0, zoo.describe(settings.model).recipe.label_smoothing):
        raise UsageError(
            f"--label_smoothing is for classes, task {prepared.task} has none: --label_smoothing=0"
        )
    return task.loss(prepared)


def _build_metrics(model: TrainedModel, signature: tuple) -> None:
    """Builds metrics that create their variables at the first update, under the strategy."""
    _, y, weight = (keras.tree.map_structure(_zeros, specs) for specs in signature)
    outputs = model.objective.answer(keras.tree.map_structure(_zeros, model.output))
    with keras.StatelessScope():  # nothing is counted
        for metric in model.metrics:
            metric.update_state(y, outputs, sample_weight=weight)


def _zeros(spec) -> tf.Tensor:
    return tf.zeros([1 if size is None else size for size in spec.shape], spec.dtype)
