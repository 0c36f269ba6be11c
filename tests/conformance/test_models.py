"""What holds for every registered model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import pipelines
import zoo
from pipelines.core.stream import stream
from tests.conftest import OPTIONS, fake_pipeline
from trainers.tasks.registry import TASKS

# Of the full size on the model's own data; a model that is missing here fails.
PARAMETERS = {
    "cifar_cnn": 122_570,
    "linear": 31,
    "mlp": 12_289,
    "mlp_binary": 6_209,
    "mlp_classifier": 201_482,
    "mnist_cnn": 93_322,
    "mnist_cnn_5x5": 1_111_946,
    "speed_cnn": 1_157_456,
    "transformer_encoder": 1_083_265,
}


def own_pipeline(name: str):
    return fake_pipeline(zoo.describe(name).recipe.pipeline)


def tiny(name: str) -> keras.Model:
    entry = zoo.get(name)
    return entry.build(own_pipeline(name).spec, **{**entry.hparams, **entry.tiny})


def batch(name: str, size: int = 5):
    pipeline = own_pipeline(name)
    data = stream(pipeline, "train", batch_size=size, training=False, seed=0)
    return next(iter(data))


@pytest.fixture(params=zoo.names())
def name(request):
    return request.param


def test_what_is_read_from_the_file_is_what_is_registered(name):
    listed, entry = zoo.describe(name), zoo.get(name)
    assert listed.recipe == entry.recipe
    assert listed.summary
    assert {**listed.hparams, **entry.hparams} == dict(listed.hparams)
    assert set(entry.tiny) <= set(listed.hparams)
    # Tests that compare replicas turn them off there.
    assert {key for key in listed.hparams if "dropout" in key} <= set(entry.tiny)
    assert entry.recipe.pipeline in pipelines.names()


def test_parameter_count(name):
    entry = zoo.get(name)
    spec = pipelines.get(entry.recipe.pipeline, **OPTIONS.get(entry.recipe.pipeline, {}))
    spec = spec.spec if spec.bind is None else own_pipeline(name).spec
    if name not in PARAMETERS and name.startswith("stranger"):
        pytest.skip("a model that is not of this repository has no entry in the table")
    if spec.vocab_size:
        spec = spec._replace(vocab_size=16_000)  # not what random words have
    assert entry.build(spec, **entry.hparams).count_params() == PARAMETERS[name]


@pytest.mark.parametrize("size", [1, 3])
def test_logits_are_finite_float32_of_the_right_shape(name, size):
    x, _, _ = batch(name, size)
    logits = tiny(name)(x)
    assert logits.dtype == tf.float32
    assert tuple(logits.shape) == (size, own_pipeline(name).spec.num_outputs)
    assert np.isfinite(logits.numpy()).all()


def test_every_weight_gets_a_gradient(name):
    model, (x, y, _) = tiny(name), batch(name, 16)
    loss = TASKS[own_pipeline(name).task].loss(0.0)
    with tf.GradientTape() as tape:
        value = loss(y, model(x, training=True))
    for variable, gradient in zip(
        model.trainable_variables,
        tape.gradient(value, [v.value for v in model.trainable_variables]),
        strict=True,
    ):
        assert gradient is not None, variable.path
        assert np.abs(tf.convert_to_tensor(gradient)).max() > 0, variable.path


def test_building_twice_gives_the_same_paths_and_no_hidden_state(name):
    first, second = tiny(name), tiny(name)
    assert [v.path for v in first.weights] == [v.path for v in second.weights]
    assert len({v.path for v in first.weights}) == len(first.weights)
    second.set_weights(first.get_weights())
    x, _, _ = batch(name)
    # A layer on a constant would hold a table that is not among the weights.
    np.testing.assert_array_equal(first(x), second(x))


def test_keras_file_round_trip(name, tmp_path):
    model, (x, _, _) = tiny(name), batch(name)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(model(x), again(x))


def test_bfloat16_keeps_float32_weights_and_logits(name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model, (x, _, _) = tiny(name), batch(name)
    assert model(x).dtype == tf.float32
    assert all(v.dtype == "float32" for v in model.trainable_variables)
    inner = {layer.compute_dtype for layer in model.layers if layer.weights}
    assert inner == {"bfloat16", "float32"} or name == "linear"  # which is its logits alone


def test_overfits_one_batch(name):
    entry = zoo.get(name)
    spec = own_pipeline(name).spec
    hparams = {**entry.hparams, **entry.tiny}
    hparams |= {key: 0.0 for key in hparams if "dropout" in key}
    model, (x, y, _) = entry.build(spec, **hparams), batch(name, 8)
    task = TASKS[own_pipeline(name).task]
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=task.loss(0.0))
    data = tf.data.Dataset.from_tensors((x, y))
    before = model.evaluate(data, verbose=0)
    model.fit(data.repeat(300), epochs=1, verbose=0, shuffle=False)
    assert model.evaluate(data, verbose=0) < 0.3 * before


def test_refuses_data_it_cannot_take():
    cnn, spec = zoo.get("cifar_cnn"), own_pipeline("cifar_cnn").spec
    small = spec._replace(inputs={"image": spec.inputs["image"]._replace(shape=(16, 16, 3))})
    with pytest.raises(ValueError, match="18x18"):
        cnn.build(small)
    with pytest.raises(ValueError, match="one input 'image'"):
        cnn.build(own_pipeline("mlp_binary").spec)
    with pytest.raises(ValueError, match="task 'binary'"):
        zoo.get("mlp_binary").build(own_pipeline("cifar_cnn").spec, task="binary")
