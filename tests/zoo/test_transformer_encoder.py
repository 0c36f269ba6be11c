"""The encoder by value: against Keras's own attention, and what padding may not change."""

import keras
import numpy as np
import pytest

import zoo
from tests.conftest import fake_pipeline
from zoo.layers import attention
from zoo.spec import DataSpec, Field

SPEC = DataSpec({"tokens": Field((None,), "int32", ids=50, length=24)}, "classification", 3)
SIZE = {"width": 16, "num_layers": 2, "num_heads": 2, "mlp_dim": 24}
TOKENS = np.random.default_rng(0).integers(1, 50, (4, 12)).astype(np.int32)


def build(spec: DataSpec = SPEC, **hparams) -> keras.Model:
    return zoo.get("transformer_encoder").build(spec, **{**SIZE, **hparams})


def answer(model: keras.Model, tokens: np.ndarray) -> np.ndarray:
    return model({"tokens": tokens}).numpy()


def padded(tokens: np.ndarray, length: int) -> np.ndarray:
    return np.pad(tokens, ((0, 0), (0, length - tokens.shape[1])))


def test_padding_does_not_change_the_answer():
    model = build()
    logits = answer(model, TOKENS)
    np.testing.assert_allclose(answer(model, padded(TOKENS, 24)), logits, rtol=1e-5, atol=1e-6)
    mixed = padded(TOKENS, 14)
    mixed[0, 5:] = 0
    np.testing.assert_allclose(answer(model, mixed)[1:], logits[1:], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        answer(model, mixed)[:1], answer(model, TOKENS[:1, :5]), rtol=1e-5, atol=1e-6
    )


def test_the_order_of_the_words_matters():
    model = build()
    assert np.abs(answer(model, TOKENS[:, ::-1]) - answer(model, TOKENS)).max() > 1e-3


def test_an_empty_text_has_a_finite_answer():
    assert np.isfinite(answer(build(), np.zeros((2, 3), np.int32))).all()


def test_attention_is_that_of_keras():
    x, mask = keras.Input((None, 16)), keras.Input((None,), dtype="bool")
    y = attention(x, mask, num_heads=2, dropout=0.0, name="a")
    ours = keras.Model([x, mask], y)
    theirs = keras.layers.MultiHeadAttention(num_heads=2, key_dim=8)
    random = np.random.default_rng(1)
    values = random.normal(size=(3, 7, 16)).astype(np.float32)
    seen = np.arange(7) < np.array([7, 4, 1])[:, None]
    theirs(values, values, attention_mask=seen[:, None])
    kernel, bias = (random.normal(size=s).astype(np.float32) for s in ((16, 48), (48,)))
    output = [random.normal(size=s).astype(np.float32) for s in ((16, 16), (16,))]
    ours.get_layer("a_query_key_value").set_weights([kernel, bias])
    ours.get_layer("a_output").set_weights(output)
    parts = [(kernel[:, i : i + 16], bias[i : i + 16]) for i in (0, 16, 32)]
    weights = [w for k, b in parts for w in (k.reshape(16, 2, 8), b.reshape(2, 8))]
    # Keras keeps query, key, value and output in this order.
    theirs.set_weights([*weights, output[0].reshape(2, 8, 16), output[1]])
    expected = theirs(values, values, attention_mask=seen[:, None])
    np.testing.assert_allclose(ours([values, seen]), expected, rtol=1e-4, atol=1e-5)


def test_the_mean_is_over_real_tokens():
    """Without blocks the logits are those of the mean of the normalised embeddings, by hand."""
    model = build(num_layers=0)
    tokens = padded(TOKENS, 20)
    table, place = (
        model.get_layer(f"{n}_embedding").get_weights()[0] for n in ("token", "position")
    )
    x = table[TOKENS] + place[:12]
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    kernel, bias = model.get_layer("logits").get_weights()
    np.testing.assert_allclose(
        answer(model, tokens), x.mean(1) @ kernel + bias, rtol=1e-4, atol=1e-5
    )


def test_word_dropout_leaves_whole_words_out():
    x = build(num_layers=0, word_dropout=0.5, dropout=0.0)
    layer = x.get_layer("word_dropout")
    dropped = layer(np.ones((8, 20, 16), np.float32), training=True).numpy()
    assert set(np.unique(dropped)) == {0.0, 2.0}
    assert (dropped == dropped[:, :, :1]).all()


@pytest.mark.parametrize("task", ["binary", "regression", "multi_label"])
def test_the_encoder_s_paths_do_not_depend_on_the_head(task):
    other = build(SPEC._replace(task=task, num_outputs=1))
    paths = {v.path: v.shape for v in build().weights if "logits" not in v.path}
    assert {v.path: v.shape for v in other.weights if "logits" not in v.path} == paths


def test_refuses_what_it_cannot_take():
    with pytest.raises(ValueError, match="does not divide over 3 heads"):
        build(num_heads=3)
    with pytest.raises(ValueError, match="even width, not 18 over 2 heads"):
        build(width=18, rotary=True)
    for none in ({"num_heads": 0}, {"width": 0}):
        with pytest.raises(ValueError, match="expected 1 or more of each"):
            build(**none)
    with pytest.raises(ValueError, match="takes an input of tokens"):
        build(fake_pipeline("cifar10").spec)
    with pytest.raises(ValueError, match="linear takes"):
        zoo.get("linear").build(SPEC._replace(inputs={"tokens": Field((None,), "int32")}))


def test_linear_on_text_is_a_weighted_count_by_hand():
    model = zoo.get("linear").build(SPEC)
    words, bias = (model.get_layer(n).get_weights()[0] for n in ("words_tokens", "logits"))
    tokens = padded(TOKENS, 20)
    by_hand = np.stack([words[row].sum(0) for row in TOKENS]) / np.sqrt(12) + bias
    np.testing.assert_allclose(answer(model, tokens), by_hand, rtol=1e-5, atol=1e-6)


def test_linear_on_numbers_is_scikit_learn_s_form():
    spec = DataSpec({"x": Field((2, 3), "float32")}, "regression", 1)
    model = zoo.get("linear").build(spec)
    kernel, bias = model.get_layer("logits").get_weights()
    x = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(
        model({"x": x}), x.reshape(5, 6) @ kernel + bias, rtol=1e-5, atol=1e-6
    )


def test_variants_of_the_block_by_hand_in_float64():
    """Rotary positions, RMS norm and a gated MLP, each in NumPy from its paper."""
    model = build(num_layers=1, rotary=True, rms_norm=True, gated=True, dropout=0.0)
    random = np.random.default_rng(3)
    for variable in model.weights:
        variable.assign(variable.numpy() + random.normal(scale=0.1, size=variable.shape))
    w = {v.path: v.numpy().astype(np.float64) for v in model.weights}
    assert "position_embedding/embeddings" not in w

    def norm(x, name):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * w[f"{name}/scale"]

    def dense(x, name):
        return x @ w[f"{name}/kernel"] + w[f"{name}/bias"]

    def turned(x):
        angle = np.arange(12)[:, None] / 10_000 ** (np.arange(4) / 4)
        pairs = (x[:, :4] + 1j * x[:, 4:]) * np.exp(1j * angle)
        return np.concatenate([pairs.real, pairs.imag], axis=-1)

    x = w["token_embedding/embeddings"][TOKENS[0]]
    y = norm(x, "block1_attention_norm")
    query, key, value = np.split(dense(y, "block1_attention_query_key_value"), 3, axis=-1)
    heads = []
    for part in (slice(0, 8), slice(8, 16)):
        scores = turned(query[:, part]) @ turned(key[:, part]).T / np.sqrt(8)
        share = np.exp(scores - scores.max(-1, keepdims=True))
        heads.append(share / share.sum(-1, keepdims=True) @ value[:, part])
    x = x + dense(np.concatenate(heads, axis=-1), "block1_attention_output")
    y = norm(x, "block1_dense_norm")
    y = np.maximum(dense(y, "block1_dense1"), 0) * dense(y, "block1_gate")
    x = norm(x + dense(y, "block1_dense2"), "norm")
    logits = dense(x.mean(0), "logits")
    np.testing.assert_allclose(answer(model, TOKENS[:1])[0], logits, rtol=1e-4, atol=1e-5)


def test_masked_tokens_meet_the_transposed_embedding():
    field = {"masked_positions": Field((None,), "int32")}
    model = build(SPEC._replace(inputs={**SPEC.inputs, **field}, task="masked_lm"))
    positions = np.array([[3, 0], [1, 1], [11, 2], [5, 6]], np.int32)
    logits = model({"tokens": TOKENS, "masked_positions": positions})
    x = keras.Model(model.input, model.get_layer("norm").output)(
        {"tokens": TOKENS, "masked_positions": positions}
    ).numpy()
    x = np.take_along_axis(x, positions[..., None], 1)
    table = model.get_layer("token_embedding").get_weights()[0]
    assert logits.shape == (4, 2, 50)
    np.testing.assert_allclose(logits, x @ table.T, rtol=1e-4, atol=1e-5)
