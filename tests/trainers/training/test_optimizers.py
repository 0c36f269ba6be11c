"""Schedules by hand, and decay, factors and clipping for every optimizer."""

import math
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.small_models import compiled_model, run_steps, state_of
from trainers.config.optimizers import ARGUMENTS
from trainers.config.settings import FIELDS
from trainers.errors import UsageError
from trainers.store import checkpoint
from trainers.training import optimizers
from zoo.spec import Recipe

OPTIMIZERS = tuple(ARGUMENTS)


def recipe(**changes) -> Recipe:
    return Recipe(pipeline="shapes", **{"learning_rate": 0.1, **changes})


def two_layers() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, activation="tanh", name="first")(inputs)
    return keras.Model(inputs, keras.layers.Dense(2, name="second")(hidden))


def after_steps(given: Recipe, steps: int = 3):
    """Weights by path before and after a few steps on fixed data."""
    model = two_layers()
    optimizers.freeze(model, given.lr_scale)
    optimizer = optimizers.build(given, total_steps=100)
    optimizers.build_variables(optimizer, model.trainable_variables, given.lr_scale)
    before = {v.path: v.numpy() for v in model.weights}
    x = tf.constant(np.random.default_rng(0).normal(size=(8, 3)), tf.float32)
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x) - 1.0))
        variables = model.trainable_variables
        gradients = tape.gradient(loss, [v.value for v in variables])
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return before, {v.path: v.numpy() for v in model.weights}


def test_names_are_those_that_settings_knows():
    assert set(optimizers._CLASSES) == set(OPTIMIZERS)
    assert set(optimizers.SHAPES) == set(FIELDS["schedule"].metadata["choices"])


@pytest.mark.parametrize(
    ("shape", "values"),
    [
        ("constant", {0: 1, 50: 1, 100: 1}),
        ("linear", {0: 1, 25: 0.75, 100: 0}),
        ("cosine", {0: 1, 50: 0.5, 25: 0.5 + math.sqrt(0.125), 100: 0}),
        ("step", {0: 1, 49: 1, 50: 0.1, 74: 0.1, 75: 0.01, 99: 0.01}),
        ("one_cycle", {0: 0.04, 15: 0.52, 30: 1, 65: 0.5, 100: 0}),
    ],
)
def test_schedules_by_hand(shape, values):
    schedule = optimizers.Schedule(shape, 2.0, 100)
    for step, value in values.items():
        assert float(schedule(step)) == pytest.approx(2 * value, abs=1e-6), step


def test_warm_up_rises_in_a_line_and_the_shape_fills_the_rest():
    schedule = optimizers.Schedule("linear", 1.0, 110, warmup_steps=10)
    assert [float(schedule(i)) for i in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert float(schedule(60)) == pytest.approx(0.5)
    with pytest.raises(UsageError, match="warmup_steps"):
        optimizers.build(recipe(warmup_steps=100), total_steps=100)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_moves_every_weight(name):
    before, after = after_steps(recipe(optimizer=name))
    for path in before:
        assert np.isfinite(after[path]).all()
        assert (before[path] != after[path]).any(), path


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_factor_of_0_freezes_to_the_bit_also_under_decay(name):
    given = recipe(optimizer=name, weight_decay=0.1, lr_scale=(("first", 0.0),))
    before, after = after_steps(given)
    for path in before:
        assert (before[path] == after[path]).all() == path.startswith("first"), path


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_factor_on_all_is_another_learning_rate(name, decay):
    if name == "adafactor":
        pytest.skip("its rate is relative to the weights: covered by the factor of 0")
    _, scaled = after_steps(recipe(optimizer=name, weight_decay=decay, lr_scale=((".", 0.5),)))
    _, halved = after_steps(recipe(optimizer=name, weight_decay=decay, learning_rate=0.05))
    for path in scaled:
        np.testing.assert_allclose(scaled[path], halved[path], rtol=2e-5, atol=2e-6, err_msg=path)


def test_a_factor_scales_the_first_update_of_sgd():
    plain = recipe(optimizer="sgd", momentum=0.0)
    before, one = after_steps(plain, steps=1)
    _, ten = after_steps(
        recipe(optimizer="sgd", momentum=0.0, lr_scale=(("second/kernel", 10.0),)), 1
    )
    moved = {path: (ten[path] - before[path]) / (one[path] - before[path]) for path in before}
    for path, ratio in moved.items():
        np.testing.assert_allclose(ratio, 10 if path == "second/kernel" else 1, rtol=1e-3)


def test_decay_shrinks_kernels_and_leaves_biases():
    _, plain = after_steps(recipe(optimizer="sgd", momentum=0.0), steps=1)
    before, decayed = after_steps(recipe(optimizer="sgd", momentum=0.0, weight_decay=0.5), steps=1)
    for path in before:
        shrink = 0.1 * 0.5 * before[path] if "kernel" in path else 0.0
        np.testing.assert_allclose(decayed[path], plain[path] - shrink, atol=1e-6, err_msg=path)


def test_a_pattern_that_finds_nothing_is_refused():
    with pytest.raises(UsageError, match="first/kernel"):
        optimizers.freeze(two_layers(), (("third", 0.0),))


def sequences_of(rows: int, seed: int, size: int = 64, length: int = 10):
    random = np.random.default_rng(seed)
    tokens = random.integers(0, rows, (size, length)).astype(np.int32)
    tokens[:, :3] = tokens[:1, :3]  # rows that occur in every example
    return tokens, random.normal(size=(size, 1)).astype(np.float32), np.ones(size, np.float32)


def embedding_model(rows: int, width: int, keep_rows: bool, **changes):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(rows, width, name="embedding")(inputs)
    outputs = keras.layers.Dense(1, name="dense")(keras.ops.mean(x, axis=1))
    loss = keras.losses.MeanSquaredError()
    return compiled_model(inputs, outputs, loss, batch_size=64, keep_rows=keep_rows, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "sgd"},
        {"optimizer": "adagrad"},
        {"optimizer": "sgd", "clip_norm": 0.01},
        {"optimizer": "adagrad", "clip_norm": 0.01, "lr_scale": (("embedding", 3.0),)},
        {"optimizer": "sgd", "weight_decay": 0.1, "ema": 0.9},
    ],
    ids=lambda changes: "+".join(changes) + f"-{changes['optimizer']}",
)
def test_rows_of_a_table_are_updated_as_the_whole_table_is(changes):
    states = []
    for keep_rows in (False, True):
        model = embedding_model(30, 4, keep_rows, **changes)
        run_steps(model, [sequences_of(30, seed) for seed in range(5)])
        states.append(state_of(model))
    for path, array in states[0].items():
        np.testing.assert_allclose(states[1][path], array, rtol=2e-6, atol=1e-7, err_msg=path)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_rows_are_kept_where_a_row_without_a_gradient_stays(name):
    """The first update and a later one leave such a row, and all that is kept of it, as it was."""
    optimizer = optimizers.build(recipe(optimizer=name, momentum=0.0), total_steps=100)
    keras.utils.set_random_seed(0)
    table = keras.layers.Embedding(6, 4, name="embedding")
    model = keras.Sequential([keras.Input((2,), dtype="int32"), table])
    optimizer.build(model.trainable_variables)
    random, stays = np.random.default_rng(0), True
    for rows in (3, 6, 3):  # of the last three, the gradient is zero in the first and third step
        gradient = random.normal(size=(6, 4)).astype(np.float32)
        gradient[rows:] = 0.0
        kept = [v for v in [*model.trainable_variables, *optimizer.variables] if v.shape == (6, 4)]
        before = [v.numpy()[rows:] for v in kept]
        optimizer.apply([tf.constant(gradient)], model.trainable_variables)
        pairs = zip(kept, before, strict=True)
        stays &= all((v.numpy()[rows:] == earlier).all() for v, earlier in pairs)
    assert optimizers.takes_rows(optimizer, model) == stays


def test_dense_networks_and_momentum_keep_no_rows():
    plain = keras.optimizers.SGD(0.1)
    assert not optimizers.takes_rows(plain, two_layers())
    model = embedding_model(30, 4, False)
    assert optimizers.takes_rows(plain, model)
    assert not optimizers.takes_rows(keras.optimizers.SGD(0.1, momentum=0.9), model)


@pytest.mark.parametrize("name", ["sgd", "adagrad"])
def test_steps_with_a_large_table_are_several_times_faster_by_row(name):
    seconds = []
    for keep_rows in (False, True):
        model = embedding_model(200_000, 64, keep_rows, optimizer=name)
        batches = [sequences_of(200_000, seed) for seed in range(8)]
        run_steps(model, batches)  # traced
        best = math.inf
        for _ in range(3):
            begin = time.perf_counter()
            run_traced(model, batches)
            best = min(best, time.perf_counter() - begin)
        seconds.append(best)
    assert seconds[1] < seconds[0] / 3, seconds


def run_traced(model, batches) -> None:
    """The steps once more, by the function that `run_steps` has made."""
    stacked = [np.stack(parts) for parts in zip(*batches, strict=True)]
    model.train_function(iter(tf.data.Dataset.from_tensor_slices(tuple(stacked))))


def block_model() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    x = keras.layers.Dense(4, name="dense1")(inputs)
    x = keras.layers.BatchNormalization(name="norm1")(x)
    x = Block(name="block")(x)
    x = keras.layers.BatchNormalization(name="norm2")(x)
    return keras.Model(inputs, keras.layers.Dense(1, name="logits")(x))


class Block(keras.layers.Layer):
    """A layer of layers, one of them without weights."""

    def __init__(self, **options):
        super().__init__(**options)
        self.dense = keras.layers.Dense(4, name="dense")
        self.dropout = keras.layers.Dropout(0.5, seed=0, name="dropout")

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x, training=False):
        return self.dropout(self.dense(x), training=training)


def test_frozen_layers_are_at_inference():
    """norm1 and the block are frozen, norm2 only in part."""
    model = block_model()
    frozen = (("norm1", 0.0), ("block", 0.0), ("norm2/gamma", 0.0))
    optimizers.freeze(model, frozen)
    trainable = {variable.path for variable in model.trainable_variables}
    assert trainable == {
        "dense1/kernel",
        "dense1/bias",
        "norm2/beta",
        "logits/kernel",
        "logits/bias",
    }
    x = np.random.default_rng(0).normal(5.0, 2.0, (16, 4)).astype(np.float32)
    before = {variable.path: variable.numpy() for variable in model.weights}
    one, two = (model(x, training=True).numpy() for _ in range(2))
    moved = {v.path for v in model.weights if (v.numpy() != before[v.path]).any()}
    assert moved == {"norm2/moving_mean", "norm2/moving_variance"}
    np.testing.assert_array_equal(one, two)  # no dropout
    block, normed = model.get_layer("block"), model.get_layer("norm1")
    expected = normed(x @ before["dense1/kernel"]).numpy() @ before["block/dense/kernel"]
    parts = keras.Model(model.input, block.output)
    np.testing.assert_allclose(parts(x, training=True), expected, rtol=1e-4, atol=1e-5)


def test_model_without_factors_of_zero_is_left_alone():
    model = block_model()
    optimizers.freeze(model, (("logits", 10.0),))
    assert len(model.trainable_variables) == 10
    x = np.ones((16, 4), np.float32)
    assert (model(x, training=True).numpy() != model(x, training=True).numpy()).any()


@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_a_factor_holds_where_adafactor_limits_the_rate(factor):
    """To 1 / sqrt(step), which is less than a rate of 1 from the second step on."""
    variables = [keras.Variable(np.ones((3, 4), np.float32), name=name) for name in ("a", "b")]
    recipe = Recipe(
        pipeline="mnist",
        batch_size=1,
        epochs=1,
        optimizer="adafactor",
        learning_rate=1.0,
        schedule="constant",
        weight_decay=0,
    )
    optimizer = optimizers.build(recipe, 1000)
    optimizers.build_variables(optimizer, variables, (("b", factor),))
    optimizer.iterations.assign(400)
    before = [variable.numpy() for variable in variables]
    optimizer.apply([np.ones((3, 4), np.float32)] * 2)
    moved = [np.abs(v.numpy() - old).mean() for v, old in zip(variables, before, strict=True)]
    assert moved[1] == pytest.approx(factor * moved[0], rel=1e-3)


@pytest.mark.parametrize(
    ("decay", "lr_scale", "kernel"), [(0.0, (), 0.95), (0.1, (("embedding", 0.5),), 0.975)]
)
def test_kernels_that_muon_leaves_to_adam_have_a_decay_of_their_own(decay, lr_scale, kernel):
    """Biases have none, and a factor multiplies it."""
    shapes = {"embedding": (3, 4), "bias": (4,)}
    variables = [keras.Variable(np.ones(s, np.float32), name=name) for name, s in shapes.items()]
    options = {"adam_weight_decay": 0.5}
    given = recipe(optimizer="muon", weight_decay=decay, optimizer_options=options)
    optimizer = optimizers.build(given, 100)
    optimizers.build_variables(optimizer, variables, lr_scale)
    optimizer.apply([np.zeros(shape, np.float32) for shape in shapes.values()])
    np.testing.assert_allclose(variables[0], kernel, rtol=1e-6)
    np.testing.assert_array_equal(variables[1], 1.0)


def network_for(name: str):
    keras.utils.clear_session(free_memory=False)  # as a run does: names of variables are counted
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, activation="tanh", name="first")(inputs)
    outputs = keras.layers.Dense(1, name="second")(hidden)
    loss = keras.losses.MeanSquaredError()
    return compiled_model(inputs, outputs, loss, optimizer=name, momentum=0.9)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_goes_on_from_what_a_checkpoint_keeps(name):
    random = np.random.default_rng(0)
    weight = np.ones(8, np.float32)
    batches = [
        (*(random.normal(size=(8, width)).astype(np.float32) for width in (3, 1)), weight)
        for _ in range(3)
    ]
    whole = network_for(name)
    run_steps(whole, batches[:2])
    variables = checkpoint.variables_of(whole)
    saved = {key: np.asarray(variable.numpy()) for key, variable in variables.items()}
    run_steps(whole, batches[2:])
    again = network_for(name)
    checkpoint.restore(checkpoint.variables_of(again), saved)
    run_steps(again, batches[2:])
    expected, states = state_of(whole), state_of(again)
    assert states.keys() == expected.keys()
    for path, array in expected.items():
        assert states[path].tobytes() == array.tobytes(), path
