"""Recurrent networks by value: against Keras's own layers, and what padding may not change."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

import zoo
from zoo import rnn
from zoo.spec import DataSpec, Field

SPEC = DataSpec({"tokens": Field((None,), "int32", ids=50, length=24)}, "classification", 3)
NAMES = [name for name in zoo.names() if zoo.describe(name).module == "rnn"]
RANDOM = np.random.default_rng(0)
TOKENS = RANDOM.integers(1, 50, (4, 12)).astype(np.int32)
UNITS = 5


def build(name: str, **hparams) -> keras.Model:
    return zoo.get(name).build(SPEC, **{**zoo.describe(name).hparams, "width": 8, **hparams})


def answer(model: keras.Model, tokens: np.ndarray) -> np.ndarray:
    return model({"tokens": tokens}).numpy()


def padded(tokens: np.ndarray, length: int) -> np.ndarray:
    return np.pad(tokens, ((0, 0), (0, length - tokens.shape[1])))


def keras_layer(cell: str, kernel, bias, recurrent: rnn.Recurrence, *, backward: bool):
    """Keras's layer with the weights of ours, and what it gives for the outputs of every step."""
    kind = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[cell]
    layer = kind(UNITS, return_sequences=True, go_backwards=backward)
    layer.build((None, None, kernel.shape[0]))
    if cell == "gru":  # one bias for the input's share, one for the output's
        bias = np.stack([bias, recurrent.bias.numpy()])
    elif cell == "lstm":  # the gate that keeps has a bias of 1 in ours without a weight
        bias = bias + np.repeat([0.0, 1.0, 0.0, 0.0], UNITS)
    layer.set_weights([kernel, recurrent.kernel.numpy(), bias])
    return layer


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("cell", list(rnn.CELLS))
def test_outputs_and_gradients_are_those_of_keras_s_layer(cell, backward):
    width = rnn.CELLS[cell].gates * UNITS
    x = RANDOM.normal(size=(3, 7, 4)).astype(np.float32)
    mask = np.arange(7) < np.array([7, 4, 1])[:, None]
    kernel, bias = (RANDOM.normal(size=s).astype(np.float32) for s in ((4, width), (width,)))
    ours = rnn.Recurrence(cell, UNITS, backward=backward)
    ours(x @ kernel + bias, mask)
    for weight in ours.weights:
        weight.assign(RANDOM.normal(size=weight.shape))
    theirs = keras_layer(cell, kernel, bias, ours, backward=backward)
    factors = RANDOM.normal(size=(3, 7, UNITS)).astype(np.float32) * mask[..., None]

    with tf.GradientTape() as tape:
        found = ours(x @ kernel + bias, mask)
        loss = tf.reduce_sum(found * factors)
    gradients = tape.gradient(loss, [ours.kernel])
    with tf.GradientTape() as tape:
        expected = theirs(x, mask=tf.constant(mask))
        if backward:  # Keras gives them in the order in which it reads
            expected = expected[:, ::-1]
        loss = tf.reduce_sum(expected * factors)
    np.testing.assert_allclose(found * mask[..., None], expected * mask[..., None], atol=2e-6)
    of_theirs = tape.gradient(loss, [theirs.cell.recurrent_kernel])
    np.testing.assert_allclose(gradients[0], of_theirs[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["bidirectional_lstm", "gru"])
def test_graph_of_any_batch_and_length_gives_the_same_answers(name):
    model = build(name, units=UNITS)
    spec = tf.TensorSpec((None, None), tf.int32)
    graph = tf.function(lambda tokens: model({"tokens": tokens}), input_signature=[spec])
    for tokens in (TOKENS, padded(TOKENS[:2], 17)):
        np.testing.assert_allclose(graph(tokens), answer(model, tokens), rtol=1e-5, atol=1e-6)


def test_state_is_held_at_padding():
    x = RANDOM.normal(size=(2, 6, 4 * UNITS)).astype(np.float32)
    mask = np.array([[True, True, True, False, False, False], [False] * 6])
    found = rnn.Recurrence("lstm", UNITS)(x, mask).numpy()
    np.testing.assert_array_equal(found[0, 3:], np.repeat(found[0, 2:3], 3, axis=0))
    np.testing.assert_array_equal(found[1], 0)


@pytest.mark.parametrize("name", NAMES)
def test_padding_does_not_change_the_answer(name):
    model = build(name, units=UNITS)
    logits = answer(model, TOKENS)
    np.testing.assert_allclose(answer(model, padded(TOKENS, 24)), logits, rtol=1e-5, atol=1e-6)
    mixed = padded(TOKENS, 14)
    mixed[0, 5:] = 0
    np.testing.assert_allclose(answer(model, mixed)[1:], logits[1:], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        answer(model, mixed)[:1], answer(model, TOKENS[:1, :5]), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("name", NAMES)
def test_empty_text_has_a_finite_answer_and_order_matters(name):
    model = build(name, units=UNITS)
    assert np.isfinite(answer(model, np.zeros((2, 3), np.int32))).all()
    assert np.abs(answer(model, TOKENS[:, ::-1]) - answer(model, TOKENS)).max() > 1e-4


def test_pool_is_the_maximum_and_the_mean_over_real_tokens():
    x = np.array([[[-0.5, 0.2], [-0.1, -0.4], [0.9, 0.9]], [[0.3, 0.3]] * 3], np.float32)
    mask = np.array([[True, True, False], [False] * 3])
    expected = [[-0.1, 0.2, -0.3, -0.1], [0.0] * 4]
    np.testing.assert_allclose(rnn.pool(x, mask), expected, atol=1e-7)


def test_layer_is_saved_with_its_arguments():
    layer = rnn.Recurrence("gru", 7, backward=True, name="loop")
    again = rnn.Recurrence.from_config(layer.get_config())
    assert (again.cell, again.units, again.backward, again.name) == ("gru", 7, True, "loop")


def test_refuses_what_it_cannot_take():
    spec = SPEC._replace(inputs={"x": Field((3,), "float32")})
    with pytest.raises(ValueError, match="rnn takes one input of tokens"):
        zoo.get("lstm").build(spec)
    with pytest.raises(ValueError, match="cell 'peephole' is none of rnn, lstm, gru"):
        build("lstm", cell="peephole")


@pytest.mark.filterwarnings("ignore:.*tf.lite")
@pytest.mark.parametrize("name", ["bidirectional_gru", "bidirectional_lstm", "bidirectional_rnn"])
def test_network_of_fixed_length_converts_to_litert(name):
    model = build(name, units=UNITS, cell=zoo.describe(name).hparams["cell"])
    network = tf.function(
        lambda tokens: model({"tokens": tokens}, training=False),
        input_signature=[tf.TensorSpec((1, 24), tf.int32)],
    )
    # Without variables, which LiteRT cannot read inside a loop, and without operations of
    # TensorFlow itself, which its interpreter lacks.
    frozen = convert_variables_to_constants_v2(
        network.get_concrete_function(), lower_control_flow=False
    )
    content = tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert()
    interpreter = tf.lite.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    [given], [made] = interpreter.get_input_details(), interpreter.get_output_details()
    for row in padded(TOKENS, 24):
        interpreter.set_tensor(given["index"], row[None])
        interpreter.invoke()
        answers = interpreter.get_tensor(made["index"])
        np.testing.assert_allclose(answers, answer(model, row[None]), rtol=1e-5, atol=1e-6)
