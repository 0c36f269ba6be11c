"""What holds for every registered model."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import pipelines
import zoo
from pipelines.core.stream import stream
from tests.conformance.names import distinct, fake_data, heavy, loaded
from trainers.tasks import registry as tasks
from trainers.training import members
from trainers.training.compile import build

NO_RIGHT_ANSWER = {
    "adversarial": "what the critic learns of a batch the generator takes back",
    "masked_image": "random pixels tell nothing about others; test_masked_image.py has an image",
    "rectified_flow": "noise cannot be learnt by heart from what it is mixed with",
    "word_vectors": "the same two words are a pair here and drawn there: no model is right",
}


def tiny(name: str) -> keras.Model:
    return zoo.get(name).build(
        fake_data(name).spec, **{**zoo.get(name).hparams, **zoo.get(name).tiny}
    )


def batch(name: str, size: int = 5):
    data = stream(fake_data(name), "train", batch_size=size, training=False, seed=0)
    return next(iter(data))


@pytest.fixture(params=distinct())
def name(request):
    return request.param


@pytest.mark.parametrize("name", zoo.names())
def test_listing_is_what_is_registered(name):
    listed, entry = zoo.describe(name), zoo.get(name)
    assert listed.recipe == entry.recipe
    facts = ("inputs", "tasks", "head", "positions", "grids", "features", "start", "data_options")
    for fact in (*facts, "parameters"):
        assert getattr(listed, fact) == getattr(entry, fact)
    assert listed.summary
    assert {**listed.hparams, **entry.hparams} == dict(listed.hparams)
    assert set(entry.tiny) <= set(listed.hparams)
    # Tests that compare replicas turn them off there.
    assert {key for key in listed.hparams if "dropout" in key} <= set(entry.tiny)
    assert entry.recipe.pipeline in pipelines.names()


@pytest.mark.parametrize("name", [n for n, e in zoo.listing().items() if e.parameters])
def test_parameter_count_is_the_registered_one(name):
    entry, spec = zoo.get(name), fake_data(name).spec
    options = pipelines.describe(entry.recipe.pipeline).options
    sizes = {"tokens": options.get("vocab_size"), "ngrams": options.get("num_ngrams", 0) + 1}
    sizes["words"] = sizes["pair"] = tasks.describe(spec.task).options.get("vocab_size", 0) + 1
    inputs = {  # not what random words have
        name: field._replace(ids=sizes[name]) if name in sizes else field
        for name, field in spec.inputs.items()
    }
    spec = spec._replace(inputs=inputs)
    with tf.Graph().as_default():  # where weights have shapes and no values
        assert entry.build(spec, **entry.hparams).count_params() == entry.parameters


@pytest.mark.parametrize("size", [1, 3])
def test_outputs_are_finite_float32_of_the_declared_number(name, size):
    x, _, _ = batch(name, size)
    outputs = tiny(name)(x)
    assert outputs.dtype == tf.float32
    assert outputs.shape[0] == size
    assert outputs.shape[-1] == fake_data(name).spec.num_outputs
    assert np.isfinite(outputs.numpy()).all()


def test_weights_all_get_a_gradient(name):
    """In the first step, or in the second: a factor that begins at zero hides the other one."""
    model, (x, y, weight), prepared = tiny(name), batch(name, 16), fake_data(name)
    task, seen = tasks.get(prepared.task), set()
    loss, _ = members.trained(task, task.loss(prepared), model.output)
    for _ in range(2):
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(loss(y, model(x, training=True), weight))
        gradients = tape.gradient(value, [v.value for v in model.trainable_variables])
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
            assert gradient is not None, variable.path
            gradient = tf.convert_to_tensor(gradient)
            if np.abs(gradient).max() > 0:
                seen.add(variable.path)
            variable.assign_sub(0.1 * gradient)
    assert seen == {v.path for v in model.trainable_variables}


def test_patterns_of_head_positions_and_rates_match_some_weights(name):
    entry, paths = zoo.get(name), [v.path for v in tiny(name).weights]
    assert set(entry.grids) <= set(entry.positions)
    for pattern in (*entry.head, *entry.positions):
        assert any(re.search(pattern, path) for path in paths), pattern
        assert not all(re.search(pattern, path) for path in paths), pattern
    for pattern, _ in entry.recipe.lr_scale:  # a run does not refuse those of the recipe
        assert any(re.search(pattern, path) for path in paths), pattern


def test_building_twice_gives_the_same_paths_and_no_hidden_state(name):
    first, second = tiny(name), tiny(name)
    assert [v.path for v in first.weights] == [v.path for v in second.weights]
    assert len({v.path for v in first.weights}) == len(first.weights)
    second.set_weights(first.get_weights())
    x, _, _ = batch(name)
    # A layer on a constant would hold a table that is not among the weights.
    np.testing.assert_array_equal(first(x), second(x))


def test_keras_file_gives_the_same_outputs(name, tmp_path):
    model, (x, _, _) = tiny(name), batch(name)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(model(x), again(x))


def test_bfloat16_keeps_float32_weights_and_outputs(name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model, (x, _, _) = tiny(name), batch(name)
    assert model(x).dtype == tf.float32
    assert all(v.dtype == "float32" for v in model.trainable_variables)
    *inner, last = [layer.compute_dtype for layer in model.layers if layer.weights]
    assert last == "float32"
    assert set(inner) in (set(), {"bfloat16"}, {"bfloat16", "float32"})


@pytest.mark.parametrize("case", heavy())
def test_model_overfits_one_batch(case):
    settings = case.settings(hparams=case.still())
    prepared = loaded(settings)
    model = build(settings, prepared, "float32")
    x, y, _ = next(iter(stream(prepared, "train", batch_size=8, training=False, seed=0)))
    task = tasks.get(prepared.task)
    if prepared.task in NO_RIGHT_ANSWER:
        pytest.skip(NO_RIGHT_ANSWER[prepared.task])
    loss, scale = task.loss(prepared), task.loss_scale or (lambda prepared: 1.0)
    loss.reduction = "sum_over_batch_size"
    rate = keras.optimizers.Adam(0.01)
    model.compile(optimizer=rate, loss=lambda y, p: scale(prepared) * loss(y, p))
    data = tf.data.Dataset.from_tensors((x, y))
    before = model.evaluate(data, verbose=0)
    model.fit(data.repeat(300), epochs=1, verbose=0, shuffle=False)
    assert model.evaluate(data, verbose=0) < 0.3 * before


def test_convolutions_refuse_data_they_cannot_take():
    cnn, spec = zoo.get("cifar_cnn"), fake_data("cifar_cnn").spec
    small = spec._replace(inputs={"image": spec.inputs["image"]._replace(shape=(16, 16, 3))})
    with pytest.raises(ValueError, match="18x18"):
        cnn.build(small)
    with pytest.raises(ValueError, match="one input 'image'"):
        cnn.build(fake_data("mlp_binary").spec)
