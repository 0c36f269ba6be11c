"""Fast kernels against NumPy in float64, and against the layers of Keras whose place they take."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from pipelines.core.stream import stream
from tests.conformance.names import distinct, fake_data
from tests.conftest import fake_pipeline, tiny_settings
from trainers.devices import keras_patches, loop
from trainers.devices import strategy as strategies
from trainers.training import compile as assembly
from trainers.training import kernels

# The places of a mantissa, times a few roundings on the way.
TOLERANCE = {"float32": 2e-6, "mixed_bfloat16": 2.0**-6}
RANDOM = np.random.default_rng(0)


def one_layer(layer: keras.layers.Layer, shape: tuple[int, ...]) -> keras.Model:
    """A model of one layer with its fast kernel."""
    inputs = keras.Input(shape, dtype="float32")
    model = keras.Model(inputs, layer(inputs))
    kernels.install(model)
    return model


def rounded(array: np.ndarray, policy: str) -> np.ndarray:
    """What the layer sees of the numbers, in float64."""
    dtype = tf.bfloat16 if policy == "mixed_bfloat16" else tf.float32
    return tf.cast(tf.cast(array, dtype), tf.float64).numpy()


def outputs_and_gradients(model, x, upstream, training: bool):
    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = tf.cast(model(x, training=training), tf.float32)
            loss = tf.reduce_sum(outputs * tf.cast(upstream, tf.float32))
        weights = [variable.value for variable in model.trainable_variables]
        return outputs, tape.gradient(loss, [x, *weights])

    outputs, gradients = run(tf.constant(x, tf.float32))
    return outputs.numpy(), [gradient.numpy() for gradient in gradients]


def assert_close(found, expected, policy):
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[policy] * scale)


def normalisation(x, upstream, gamma, beta, epsilon, axes):
    """Outputs and gradients of a normalisation over `axes` (Ioffe and Szegedy 2015), by hand."""
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    scale = 1.0 / np.sqrt(variance + epsilon)
    rows = (x - mean) * scale
    steep = upstream * gamma
    along = steep.mean(axes, keepdims=True) + rows * (steep * rows).mean(axes, keepdims=True)
    others = tuple(range(x.ndim - 1))
    gradients = [scale * (steep - along), (upstream * rows).sum(others), upstream.sum(others)]
    return rows * gamma + beta, gradients, mean.reshape(-1), variance.reshape(-1)


@pytest.mark.parametrize("policy", TOLERANCE)
def test_batch_normalisation_is_that_of_the_formula(policy):
    keras.config.set_dtype_policy(policy)
    layer = keras.layers.BatchNormalization(momentum=0.75, epsilon=1e-3)
    model = one_layer(layer, (5, 7, 4))
    gamma, beta = RANDOM.normal(1, 0.3, 4), RANDOM.normal(0, 0.3, 4)
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    x = rounded(RANDOM.normal([3, -2, 0.5, 0], [1, 2, 0.5, 3], (6, 5, 7, 4)), policy)
    upstream = rounded(RANDOM.normal(size=x.shape), policy)
    expected, gradients, mean, variance = normalisation(x, upstream, gamma, beta, 1e-3, (0, 1, 2))
    found, found_gradients = outputs_and_gradients(model, x, upstream, training=True)
    assert_close(found, expected, policy)
    for one, other in zip(found_gradients, gradients, strict=True):
        assert_close(one, other, policy)
    # Moved a quarter of the way from 0 and from 1; the variance is not the N / (N - 1) one.
    np.testing.assert_allclose(layer.moving_mean, 0.25 * mean, atol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.75 + 0.25 * variance, rtol=1e-5)
    moving = (x - 0.25 * mean) / np.sqrt(0.75 + 0.25 * variance + 1e-3) * gamma + beta
    found, (gradient, *_) = outputs_and_gradients(model, x, upstream, training=False)
    assert_close(found, moving, policy)
    assert_close(gradient, upstream * gamma / np.sqrt(0.75 + 0.25 * variance + 1e-3), policy)


@pytest.mark.parametrize("gpus", [[], ["GPU:0"]])
def test_frozen_batch_normalisation_on_a_gpu_is_keras_s_own(gpus, monkeypatch):
    """The fused one has no deterministic way back there; the answer is the same."""
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: gpus)
    layer = keras.layers.BatchNormalization(epsilon=1e-3)
    model = one_layer(layer, (5, 7, 4))
    x = RANDOM.normal(size=(6, 5, 7, 4))
    found = []
    for layer.trainable in (True, False):
        call = tf.function(lambda x: model(x, training=False), autograph=False)
        graph = call.get_concrete_function(tf.constant(x, tf.float32)).graph
        fused = "FusedBatchNormV3" in {op.type for op in graph.get_operations()}
        assert fused == (layer.trainable or not gpus)
        found.append(call(tf.constant(x, tf.float32)))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("policy", TOLERANCE)
def test_batch_normalisation_on_two_replicas_sees_the_whole_batch(policy):
    keras.config.set_dtype_policy(policy)
    strategy = strategies.choose(2)
    with strategy.scope():
        layer = keras.layers.BatchNormalization(momentum=0.75, epsilon=1e-3)
        model = one_layer(layer, (3, 3, 2))
        keras_patches.normalise_together(model)
    x = RANDOM.normal([3, -2], [1, 2], (8, 3, 3, 2))
    x[:4] += 1.0  # the replicas' own means differ
    x = rounded(x, policy)
    upstream = rounded(RANDOM.normal(size=x.shape), policy)
    expected, gradients, mean, variance = normalisation(x, upstream, 1.0, 0.0, 1e-3, (0, 1, 2))

    def share(context, array):
        half = 4 * context.replica_id_in_sync_group
        return tf.constant(array[half : half + 4], tf.float32)

    @tf.function
    def run():
        def step(x, upstream):
            with tf.GradientTape() as tape:
                tape.watch(x)
                outputs = tf.cast(model(x, training=True), tf.float32)
                loss = tf.reduce_sum(outputs * upstream)
            return outputs, tape.gradient(loss, x)

        inputs = [
            strategy.experimental_distribute_values_from_function(lambda c, a=a: share(c, a))
            for a in (x, upstream)
        ]
        return strategy.run(step, inputs)

    outputs, gradient = run()
    joined = [np.concatenate([v.numpy() for v in o.values]) for o in (outputs, gradient)]
    assert_close(joined[0], expected, policy)
    assert_close(joined[1], gradients[0], policy)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.25 * mean, atol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), 0.75 + 0.25 * variance, rtol=1e-5)


@pytest.mark.parametrize("asked", ["auto", "keras"])
@pytest.mark.parametrize("shape", [(2,), (3, 3, 2)])
def test_statistics_of_a_batch_are_those_of_all_replicas_for_any_layer(
    asked, shape, tmp_path, monkeypatch
):
    """Rows of a table, and images under --kernels=keras, have no kernel that could see to it."""

    def build(spec, **hparams):
        inputs = zoo.keras_inputs(spec)
        x = keras.layers.Dense(math.prod(shape))(inputs["features"])
        x = keras.layers.BatchNormalization(name="norm")(keras.layers.Reshape(shape)(x))
        return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(x)))

    settings = tiny_settings("mlp_binary", tmp_path, batch_size=8, kernels=asked)
    entry, prepared = zoo.get("mlp_binary"), fake_pipeline("breast_cancer")
    monkeypatch.setattr(zoo, "get", lambda name: entry._replace(build=build))
    moved = []
    for replicas in (2, 1):
        devices = strategies.choose(replicas)
        model = assembly.compiled(settings, prepared, devices, "float32")
        model.steps_per_execution = 1
        loop.count_steps(model, devices, steps=1, validation_steps=1)
        rows = stream(prepared, "train", batch_size=8, training=True, seed=0)
        model.train_function(iter(devices.experimental_distribute_dataset(rows)))
        moved.append(np.asarray(model.get_layer("norm").moving_variance.numpy()))
        assert not model.get_layer("norm").get_config()["synchronized"]
    np.testing.assert_allclose(moved[0], moved[1], rtol=1e-6)


@pytest.mark.parametrize("policy", TOLERANCE)
def test_layer_normalisation_is_that_of_the_formula(policy):
    keras.config.set_dtype_policy(policy)
    layer = keras.layers.LayerNormalization(epsilon=1e-3)
    model = one_layer(layer, (5, 8))
    gamma, beta = RANDOM.normal(1, 0.3, 8), RANDOM.normal(0, 0.3, 8)
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    x = rounded(RANDOM.normal(2, 3, (6, 5, 8)), policy)
    upstream = rounded(RANDOM.normal(size=x.shape), policy)
    expected, gradients, *_ = normalisation(x, upstream, gamma, beta, 1e-3, 2)
    found, found_gradients = outputs_and_gradients(model, x, upstream, training=True)
    assert_close(found, expected, policy)
    for one, other in zip(found_gradients, gradients, strict=True):
        assert_close(one, other, policy)


@pytest.mark.parametrize("size", [(3, 3), (2, 4), (1, 1)])
def test_convolutions_of_small_images_are_sums_over_their_windows(size):
    keras.config.set_dtype_policy("mixed_bfloat16")
    layer = keras.layers.Conv2D(256, size, padding="same", use_bias=False)
    model = one_layer(layer, (3, 5, 3))
    assert kernels.installed(model) == "own for 1 Conv2D"
    kernel = rounded(RANDOM.normal(0, 0.2, (*size, 3, 256)), "mixed_bfloat16")
    layer.kernel.assign(kernel)
    x = rounded(RANDOM.normal(size=(6, 3, 5, 3)), "mixed_bfloat16")
    upstream = rounded(RANDOM.normal(size=(6, 3, 5, 256)), "mixed_bfloat16")
    (top, left), (rows, columns) = [(side - 1) // 2 for side in size], size
    wide = np.pad(x, ((0, 0), (top, rows - 1 - top), (left, columns - 1 - left), (0, 0)))
    expected, to_wide, to_kernel = np.zeros_like(upstream), np.zeros_like(wide), 0 * kernel
    for i, j in np.ndindex(rows, columns):
        window = slice(None), slice(i, i + 3), slice(j, j + 5)
        expected += wide[window] @ kernel[i, j]
        to_wide[window] += upstream @ kernel[i, j].T
        to_kernel[i, j] = np.einsum("bhwc,bhwf->cf", wide[window], upstream)
    found, (to_x, gradient) = outputs_and_gradients(model, x, upstream, training=True)
    assert_close(found, expected, "mixed_bfloat16")
    assert_close(to_x, to_wide[:, top : top + 3, left : left + 5], "mixed_bfloat16")
    assert_close(gradient, to_kernel, "mixed_bfloat16")


@pytest.mark.parametrize(
    ("policy", "shape", "changes"),
    [
        ("float32", (4, 4, 4), {}),
        ("mixed_bfloat16", (4, 5, 4), {}),
        ("mixed_bfloat16", (None, 4, 4), {}),
        ("mixed_bfloat16", (4, 4, 4), {"strides": 2}),
        ("mixed_bfloat16", (4, 4, 4), {"padding": "valid"}),
        ("mixed_bfloat16", (4, 4, 4), {"dilation_rate": 2}),
        ("mixed_bfloat16", (4, 4, 4), {"filters": 128}),
        ("mixed_bfloat16", (4, 4, 4), {"groups": 2}),
    ],
)
def test_other_convolutions_stay_as_they_are(policy, shape, changes):
    keras.config.set_dtype_policy(policy)
    given = {"filters": 256, "kernel_size": 3, "padding": "same"} | changes
    assert kernels.installed(one_layer(keras.layers.Conv2D(**given), shape)) == "Keras's"


def test_a_convolution_used_twice_learns_from_images_of_any_size():
    layer = keras.layers.Conv2D(256, 3, padding="same", dtype="mixed_bfloat16")
    places = keras.Input((3, 5, 2)), keras.Input((None, None, 2))
    model = keras.Model(places, [layer(place) for place in places])

    def gradient(*images):
        with tf.GradientTape() as tape:
            total = sum(tf.reduce_sum(tf.cast(x, "float32") ** 2) for x in model(images))
        return tape.gradient(total, layer.kernel.value)

    images = [RANDOM.normal(size=(2, *size, 2)).astype("float32") for size in ((3, 5), (6, 7))]
    expected = gradient(*images)
    kernels.install(model)
    assert kernels.installed(model) == "own for 1 Conv2D"
    unknown = [tf.TensorSpec(place.shape, "float32") for place in places]
    found = tf.function(gradient, input_signature=unknown)(*images)
    assert_close(found.numpy(), expected.numpy(), "mixed_bfloat16")


ERF = np.vectorize(math.erf)
ACTIVATIONS = {
    "elu": (lambda x: np.where(x > 0, x, np.expm1(x)), lambda x: np.where(x > 0, 1, np.exp(x))),
    "gelu": (
        lambda x: x * (1 + ERF(x / 2**0.5)) / 2,
        lambda x: (1 + ERF(x / 2**0.5)) / 2 + x * np.exp(-x * x / 2) / (2 * np.pi) ** 0.5,
    ),
    "silu": (
        lambda x: x / (1 + np.exp(-x)),
        lambda x: (1 + np.exp(-x) * (1 + x)) / (1 + np.exp(-x)) ** 2,
    ),
    "softplus": (lambda x: np.log1p(np.exp(x)), lambda x: 1 / (1 + np.exp(-x))),
}


@pytest.mark.parametrize("policy", TOLERANCE)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_those_of_their_formula(name, policy):
    keras.config.set_dtype_policy(policy)
    value, slope = ACTIVATIONS[name]
    model = one_layer(keras.layers.Activation(name), (50,))
    x = rounded(RANDOM.normal(0, 2, (20, 50)), policy)
    upstream = rounded(RANDOM.normal(size=x.shape), policy)
    found, (gradient,) = outputs_and_gradients(model, x, upstream, training=True)
    assert_close(found, value(x), policy)
    assert_close(gradient, upstream * slope(x), policy)


def test_dropout_keeps_its_share_and_its_mask_on_the_way_back():
    model = one_layer(keras.layers.Dropout(0.3, seed=1), (1000,))
    x, upstream = np.ones((1000, 1000)), RANDOM.normal(size=(1000, 1000))
    found, (gradient,) = outputs_and_gradients(model, x, upstream, training=True)
    np.testing.assert_allclose(np.unique(found), [0, 1 / 0.7], rtol=1e-6)
    kept = found > 0
    np.testing.assert_allclose(gradient, np.where(kept, upstream / 0.7, 0), rtol=1e-5)
    # Four standard deviations of the mean of so many draws.
    assert abs(kept.mean() - 0.7) < 4 * (0.21 / kept.size) ** 0.5
    again, _ = outputs_and_gradients(model, x, upstream, training=True)
    for other in (again > 0, np.roll(kept, 1, axis=0), np.roll(kept, 1, axis=1), kept.T):
        assert abs(np.corrcoef(kept.ravel(), other.ravel())[0, 1]) < 5e-3
    for axis in (0, 1):  # no row and no column is thinner than chance has it
        assert (abs(kept.mean(axis) - 0.7) < 5 * (0.21 / 1000) ** 0.5).all()
    plain, _ = outputs_and_gradients(model, x, upstream, training=False)
    assert (plain == 1).all()


def test_dropout_of_everything_is_zero_as_in_keras():
    model = one_layer(keras.layers.Dropout(1.0, seed=1), (3,))
    outputs, (gradient,) = outputs_and_gradients(model, np.ones((2, 3)), np.ones((2, 3)), True)
    assert (outputs == 0).all()
    assert (gradient == 0).all()


def test_dropout_of_whole_words_keeps_or_drops_them_whole():
    model = one_layer(keras.layers.Dropout(0.5, noise_shape=(None, None, 1), seed=1), (20, 6))
    found, _ = outputs_and_gradients(model, np.ones((30, 20, 6)), np.ones((30, 20, 6)), True)
    assert set(found.sum(axis=2).ravel().tolist()) == {0.0, 12.0}


@pytest.mark.parametrize("name", distinct())
def test_models_compute_and_save_what_they_do_without(name, tmp_path):
    hparams = {key: 0.0 if "dropout" in key else v for key, v in zoo.get(name).tiny.items()}
    if "activation" in zoo.describe(name).hparams:
        hparams["activation"] = "gelu"
    settings = tiny_settings(name, tmp_path, hparams=hparams)
    pipeline = fake_data(name)
    plain, fast = (assembly.build(settings, pipeline, "float32") for _ in range(2))
    kernels.install(fast)
    fast.set_weights(plain.get_weights())
    data = stream(pipeline, "train", batch_size=16, training=False, seed=0)
    x, _, _ = next(iter(data))
    found = {}
    for model in (plain, fast):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(x, training=True) ** 2)
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        found[model] = [tf.convert_to_tensor(g).numpy() for g in gradients], model.get_weights()
    # Batch normalisations magnify rounding on the way back if there are many or their epsilon is
    # small: Keras's own gradients of these networks are up to 2e-4 from those in float64.
    batches = [x for x in plain.layers if isinstance(x, keras.layers.BatchNormalization)]
    magnified = len(batches) > 10 or any(layer.epsilon < 1e-4 for layer in batches)
    tolerances = (5e-4 if magnified else 2e-5), 2e-5  # of gradients, of weights
    for one, other, tolerance in zip(found[plain], found[fast], tolerances, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1, np.abs(a).max()))
    # The file is Keras's alone: it loads where there are no kernels of ours.
    fast.save(tmp_path / "fast.keras")
    loaded = keras.saving.load_model(tmp_path / "fast.keras")
    for layer in loaded.layers:
        assert not {"call", "convolution_op"} & vars(layer).keys()
    np.testing.assert_allclose(loaded(x), fast(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("asked", "said"),
    [("auto", "own for 7 Activation, 6 BatchNormalization"), ("keras", "Keras's")],
)
def test_training_uses_them_unless_told_otherwise(asked, said, tmp_path):
    changes = {"hparams": {**zoo.get("speed_cnn").tiny, "activation": "gelu"}, "kernels": asked}
    settings = tiny_settings("speed_cnn", tmp_path, **changes)
    pipeline = fake_pipeline("cifar10")
    model = assembly.compiled(settings, pipeline, strategies.choose(1), "float32")
    assert kernels.installed(model) == said
    step = tf.function(lambda x: model(x, training=True), autograph=False)
    x = {"image": tf.zeros([4, 32, 32, 3])}
    operations = {op.type for op in step.get_concrete_function(x).graph.get_operations()}
    # SquaredDifference is of the moments that Keras computes.
    assert ("FusedBatchNormV3" in operations) == (asked == "auto")
    assert ("SquaredDifference" in operations) == (asked == "keras")
