"""Every private attribute of Keras and TensorFlow that is read or replaced is in this file.

It refuses versions of Keras that it was not tested with. What is replaced, and why:

* Keras clips gradients before their sum over replicas, so the update depends on the number of
  replicas (tensorflow#33929 explains how it came about), and takes the norm over the rows of an
  embedding before those of the same id are added (keras#18985 is the related issue for one
  variable). `TrainedModel.update` sums, computes the norm and clips; `without_own_sum` keeps the
  optimizer from summing again.
* `fit` pulls a real batch through `strategy.reduce` to build the model, which crashes for strings
  and for batches that do not divide evenly (keras#19246). `without_symbolic_build` turns it off;
  `compile.compiled` builds everything before.
* Dropout draws the same mask on every replica (no issue is known). `differ_by_replica` fixes it.
* Several steps per execution fail under a strategy (no issue is known), and elsewhere overshoot an
  epoch that they do not divide. `devices.loop` takes an explicit number of steps.
* Batch normalisation uses the statistics of a replica's share of a batch, and other backends refuse
  a layer that is configured for more. `normalise_together` sets that during the call only.
* Running averages of weights begin with those of the first step, which weigh decay^steps at the
  end: 3 % after 3 400 steps at 0.999, enough to spoil a model. `since_the_first_step` weighs all
  steps by the decay alone, as in Adam's moments (Kingma and Ba 2015, section 3).
* Adafactor gives the row and column sums of all kernels the same names, but checkpoints identify
  variables by path. `number_duplicate_paths` numbers them.

tests/trainers/devices/test_keras_patches.py has a test for each that fails once Keras has fixed it.
"""

import collections
from collections.abc import Iterator

import keras
import tensorflow as tf

_TESTED_VERSIONS = ("3.15", "3.16")
_SEED_STRIDE = 0x3C6EF372  # between the seeds of two replicas: far more than a run has steps


def check_version(version: str) -> None:
    """RuntimeError for a version of Keras whose private code may differ."""
    if not version.startswith(_TESTED_VERSIONS):
        raise RuntimeError(
            "trainers.devices.keras_patches was tried with Keras "
            f"{' and '.join(_TESTED_VERSIONS)}, received {version}: install one of these"
        )


check_version(keras.__version__)


def without_own_sum(optimizer: keras.optimizers.Optimizer) -> None:
    """`apply` takes gradients that are already summed over replicas."""
    optimizer._all_reduce_sum_gradients = lambda grads_and_vars: grads_and_vars


def without_symbolic_build(model: keras.Model) -> None:
    """`fit` uses the model as it has been built."""
    model._maybe_symbolic_build = lambda iterator=None, data_batch=None: None


def differ_by_replica(model: keras.Model) -> None:
    """Random numbers of the model's layers differ between replicas."""
    for layer in layers_of(model):
        for generator in layer._seed_generators:
            _fold_replica(generator)


def normalise_together(model: keras.Model) -> None:
    """Batch normalisation takes its statistics from the whole batch, not from a replica's share.

    Not where there is a mask: Keras does not combine the replicas' statistics there.
    """
    for layer in layers_of(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            _synchronise(layer)


def layers_of(layer: keras.Layer) -> Iterator[keras.Layer]:
    """The layer and all layers within it."""
    return layer._flatten_layers()


def variable_in(variable: keras.Variable) -> tf.Variable:
    """TensorFlow's variable itself, where `variable.value` is a tensor cast to half precision."""
    return variable._value


def shares_of(variable: keras.Variable) -> tuple[tf.Variable, ...]:
    """Each replica's part of a variable of a metric, whose value is their sum."""
    return tuple(getattr(variable._value, "values", (variable._value,)))


def schedule_of(optimizer: keras.optimizers.Optimizer):
    """The schedule itself, where `optimizer.learning_rate` is its value at the current step."""
    return optimizer._learning_rate


def variables_of(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """The variables that the optimizer was built for, in its order."""
    return optimizer._trainable_variables


def index_of(optimizer: keras.optimizers.Optimizer, variable) -> int:
    """The index of a variable, or of a replica's part of it, among `variables_of`."""
    return optimizer._get_variable_index(variable)


def averages_of(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """The running averages of `variables_of`, in the same order; with EMA only."""
    return optimizer._model_variables_moving_average


def since_the_first_step(optimizer: keras.optimizers.Optimizer) -> None:
    """Averages the weights of n steps with factors 1, d, d^2, ... from the newest, over their sum.

    d is `ema_momentum`: the average moves (1 - d) / (1 - d^n) of the way to the weights of step n.
    """
    decay, average = optimizer.ema_momentum, optimizer._update_model_variables_moving_average

    def update(variables: list[keras.Variable]) -> None:
        step = tf.cast(optimizer.iterations + 1, tf.float32)
        optimizer.ema_momentum = 1.0 - (1.0 - decay) / (1.0 - decay**step)
        average(variables)
        optimizer.ema_momentum = decay

    optimizer._update_model_variables_moving_average = update


def accumulators_of(optimizer: keras.optimizers.Adagrad) -> list[keras.Variable]:
    """Adagrad's sums of squares, in the order of `variables_of`."""
    return optimizer._accumulators


def number_duplicate_paths(optimizer: keras.optimizers.Optimizer) -> None:
    """Numbers the paths that variables of a built optimizer share."""
    count = collections.Counter()
    for variable in optimizer.variables:
        count[variable.path] += 1
        if count[variable.path] > 1:
            variable._path = f"{variable.path}_{count[variable.path]}"


def decay_of(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> float:
    """The weight decay of a variable: Muon has one of its own for those that it leaves to Adam."""
    if isinstance(optimizer, keras.optimizers.Muon) and optimizer._should_use_adamw(variable):
        return optimizer.adam_weight_decay or 0.0
    return optimizer.weight_decay or 0.0


def _synchronise(layer: keras.layers.BatchNormalization) -> None:
    call, before = layer.call, layer.synchronized  # read here: several replicas call it at once

    def together(inputs, training=None, mask=None):
        # Set only here: other backends refuse a layer whose configuration asks for it.
        layer.synchronized = True
        try:
            return call(inputs, training=training, mask=mask)
        finally:
            layer.synchronized = before

    layer.call = together


def _fold_replica(generator: keras.random.SeedGenerator) -> None:
    draw = generator.next

    def next_seed(ordered: bool = True) -> tf.Tensor:
        seed = draw(ordered)
        context = tf.distribute.get_replica_context()
        replica = context.replica_id_in_sync_group if context else 0
        return seed + tf.cast(tf.stack([replica * _SEED_STRIDE, 0]), seed.dtype)

    generator.next = next_seed
