"""Builds a recipe's Keras optimizer, with its schedule and learning-rate factors per variable."""

import functools
import inspect
import math
import re
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf
from keras import ops

from trainers.devices import keras_patches
from trainers.errors import UsageError
from trainers.training import loss_scale
from trainers.training.muon import MuonSGD
from zoo.spec import Recipe

_CLASSES = {
    "adagrad": keras.optimizers.Adagrad,
    "adadelta": keras.optimizers.Adadelta,
    "adafactor": keras.optimizers.Adafactor,
    "adam": keras.optimizers.Adam,
    "adamax": keras.optimizers.Adamax,
    "adamw": keras.optimizers.AdamW,
    "ftrl": keras.optimizers.Ftrl,
    "lamb": keras.optimizers.Lamb,
    "lion": keras.optimizers.Lion,
    "muon": keras.optimizers.Muon,
    "muon_sgd": MuonSGD,
    "nadam": keras.optimizers.Nadam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


def _linear(done):
    return 1.0 - done


def _cosine(done):
    return 0.5 * (1.0 + ops.cos(math.pi * done))


def _step(done):
    # A tenth at half and at three quarters of the run (He et al. 2015, section 4.2).
    return ops.where(done < 0.5, 1.0, ops.where(done < 0.75, 0.1, 0.01))


def _one_cycle(done):
    # Up from 1/25 over 30 % of the run, then down to 0 along a cosine (Smith and Topin 2017).
    up = 0.04 + 0.96 * done / 0.3
    return ops.where(done < 0.3, up, _cosine((done - 0.3) / 0.7))


SHAPES: dict[str, Callable] = {
    "constant": ops.ones_like,
    "linear": _linear,
    "cosine": _cosine,
    "step": _step,
    "one_cycle": _one_cycle,
}


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up to `peak`, then one of SHAPES over the rest of the run.

    The rate is multiplied by the variable `factor`, initially 1, which is lowered on a plateau and
    after non-finite numbers. It is saved with the run's progress, not the optimizer's state.
    """

    def __init__(self, shape: str, peak: float, total_steps: int, warmup_steps: int = 0):
        self.shape = shape
        self.peak = peak
        self.total_steps = total_steps
        self.warmup_steps = warmup_steps
        self.factor = keras.Variable(1.0, trainable=False, dtype="float32", name="factor")

    def __call__(self, step):
        step = ops.cast(step, "float32")
        # The first step uses 1/warmup of the peak, not 0.
        warm = ops.minimum(1.0, (step + 1.0) / max(1, self.warmup_steps))
        rest = max(1, self.total_steps - self.warmup_steps)
        done = ops.clip((step - self.warmup_steps) / rest, 0.0, 1.0)
        return self.factor * self.peak * warm * SHAPES[self.shape](done)

    def get_config(self) -> dict:
        """The arguments of the constructor."""
        return {name: value for name, value in vars(self).items() if name != "factor"}


def build(recipe: Recipe, total_steps: int) -> keras.optimizers.Optimizer:
    """The recipe's optimizer for a run of `total_steps`.

    Raises:
        UsageError: the warm-up is longer than the run, or the optimizer refuses an option.
    """
    if recipe.warmup_steps >= total_steps:
        raise UsageError(
            f"--warmup_steps={recipe.warmup_steps} is not less than the {total_steps} steps"
        )
    rate = Schedule(recipe.schedule, recipe.learning_rate, total_steps, recipe.warmup_steps)
    own = {
        "sgd": {"momentum": recipe.momentum, "nesterov": recipe.momentum > 0},
        "muon_sgd": {"momentum": recipe.momentum, "nesterov": recipe.momentum > 0},
        "rmsprop": {"momentum": recipe.momentum},
        # By default Muon decays the variables that it leaves to Adam by 0.004.
        "muon": {"adam_weight_decay": recipe.weight_decay or None},
    }
    options = {**own.get(recipe.optimizer, {}), **recipe.optimizer_options}
    try:
        optimizer = _CLASSES[recipe.optimizer](
            learning_rate=rate,
            weight_decay=recipe.weight_decay,
            use_ema=recipe.ema > 0,
            ema_momentum=recipe.ema,
            name=recipe.optimizer,  # its variables have the same paths however often it is built
            **options,
        )
    except ValueError as error:
        raise UsageError(f"--optimizer_options: {error}") from error
    if not recipe.weight_decay:
        optimizer.weight_decay = None  # 0.0 would still be multiplied and subtracted in every step
    if recipe.ema:
        keras_patches.since_the_first_step(optimizer)
    return optimizer


def set_rate_factor(optimizer: keras.optimizers.Optimizer, factor: float) -> None:
    """Multiplies the recipe's learning rate by `factor` from now on."""
    keras_patches.schedule_of(loss_scale.unwrapped(optimizer)).factor.assign(factor)


def freeze(
    model: keras.Model,
    lr_scale: Sequence[tuple[str, float]],
    optional: Sequence[tuple[str, float]] = (),
) -> None:
    """Freezes variables with factor 0; call it before the optimizer is built.

    A layer whose weights are all frozen runs in inference mode: batch normalisation uses its stored
    statistics without updating them, and dropout within it is off.

    Args:
        optional: factors of the model's own recipe, whose layer a task may have replaced.

    Raises:
        UsageError: a pattern matches no variable; it lists the paths.
    """
    paths = [variable.path for variable in model.trainable_variables]
    for pattern, factor in lr_scale:
        missing = not any(re.search(pattern, path) for path in paths)
        if missing and (pattern, factor) not in optional:
            raise UsageError(f"--lr_scale: {pattern!r} matches none of: {', '.join(paths)}")
    if not any(factor == 0 for _, factor in lr_scale):
        return
    frozen = [layer for layer in keras_patches.layers_of(model) if _is_frozen(layer, lr_scale)]
    for variable in model.trainable_variables:
        if factor_of(variable.path, lr_scale) == 0:
            variable.trainable = False
    for layer in frozen:
        layer.trainable = False
        for inner in keras_patches.layers_of(layer):
            if "training" in inspect.signature(inner.call).parameters:
                inner.call = _at_inference(inner.call)


def factor_of(path: str, lr_scale: Sequence[tuple[str, float]]) -> float:
    """The factor on a variable's update: that of the first pattern that matches, else 1."""
    return next((factor for pattern, factor in lr_scale if re.search(pattern, path)), 1.0)


def build_variables(optimizer, variables: Sequence, lr_scale: Sequence[tuple[str, float]]) -> None:
    """Builds the optimizer's variables, with the recipe's decay and rate for each weight.

    Only kernels and embeddings (two dimensions or more) decay. A factor multiplies the rate and the
    decay of a variable, whatever the optimizer does inside.
    """
    whole, optimizer = optimizer, loss_scale.unwrapped(optimizer)
    factors = [factor_of(variable.path, lr_scale) for variable in variables]
    scaled = [v for v, factor in zip(variables, factors, strict=True) if factor != 1]
    optimizer.exclude_from_weight_decay([*scaled, *(v for v in variables if len(v.shape) < 2)])
    whole.build(variables)
    keras_patches.number_duplicate_paths(optimizer)
    if isinstance(optimizer, keras.optimizers.Adagrad):
        optimizer.update_step = _adagrad_by_row(optimizer)
    if not scaled:
        return
    update = optimizer.update_step
    decays = [keras_patches.decay_of(optimizer, v) if len(v.shape) >= 2 else 0.0 for v in variables]

    def scaled_update(gradient, variable, learning_rate):
        index = keras_patches.index_of(optimizer, variable)
        factor, decay = factors[index], decays[index]
        rate = learning_rate * factor
        if decay and factor != 1:
            optimizer.assign_sub(variable, variable * ops.cast(decay * rate, variable.dtype))
        if factor == 1 or not isinstance(optimizer, keras.optimizers.Adafactor):
            update(gradient, variable, rate)
            return
        before = tf.identity(variable)  # Adafactor limits the rate by itself: its step is scaled
        update(gradient, variable, learning_rate)
        optimizer.assign(variable, before + factor * (variable - before))

    optimizer.update_step = scaled_update


def takes_rows(optimizer: keras.optimizers.Optimizer, model: keras.Model) -> bool:
    """Whether the model has embeddings and the optimizer changes only rows that have a gradient.

    Other optimizers change every row in every step: momenta and running averages decay, and FTRL's
    first update sets rows without a gradient to zero.
    """
    layers = keras_patches.layers_of(model)
    if not any(isinstance(layer, keras.layers.Embedding) for layer in layers):
        return False
    plain = isinstance(optimizer, keras.optimizers.SGD) and optimizer.momentum == 0
    return plain or isinstance(optimizer, keras.optimizers.Adagrad)


def _adagrad_by_row(optimizer: keras.optimizers.Adagrad) -> Callable:
    """Adagrad's update, which reads only the rows that a sparse gradient has."""
    update = optimizer.update_step

    def update_step(gradient, variable, learning_rate):
        if not isinstance(gradient, tf.IndexedSlices):
            return update(gradient, variable, learning_rate)
        index = keras_patches.index_of(optimizer, variable)
        accumulator = keras_patches.accumulators_of(optimizer)[index].value
        rows, values = gradient.indices, gradient.values
        accumulator.scatter_add(tf.IndexedSlices(tf.square(values), rows))
        root = tf.sqrt(tf.gather(accumulator, rows) + optimizer.epsilon)
        step = tf.cast(learning_rate, values.dtype) * values / root
        return variable.scatter_sub(tf.IndexedSlices(step, rows))

    return update_step


def _is_frozen(layer: keras.Layer, lr_scale: Sequence[tuple[str, float]]) -> bool:
    weights = layer.trainable_variables or layer.weights
    return bool(weights) and all(factor_of(weight.path, lr_scale) == 0 for weight in weights)


def _at_inference(call: Callable) -> Callable:
    @functools.wraps(call)
    def without_training(*args, **kwargs):
        return call(*args, **{**kwargs, "training": False})

    return without_training
