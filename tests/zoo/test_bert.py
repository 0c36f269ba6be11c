"""BERT by value: against KerasHub's with the same weights, and by hand in NumPy."""

import math

import keras
import numpy as np
import pytest

import zoo
from zoo.spec import DataSpec, Field

IDS, WIDTH, HEADS, MLP = 50, 16, 2, 24
TOKENS_FIELD = Field((None,), "int32", ids=IDS, length=24)
CLASSES = DataSpec({"tokens": TOKENS_FIELD}, "classification", 3)
MASKED = DataSpec(
    {"tokens": TOKENS_FIELD, "masked_positions": Field((None,), "int32")}, "masked_lm", IDS
)
SIZE = {"width": WIDTH, "num_layers": 2, "num_heads": HEADS, "mlp_dim": MLP, "dropout": 0.0}
TOKENS = np.random.default_rng(0).integers(1, IDS, (4, 12)).astype(np.int32)


def build(spec: DataSpec = CLASSES, **hparams) -> keras.Model:
    """With random numbers in every weight, also those that begin at zero or one."""
    model = zoo.get("bert_tiny").build(spec, **{**SIZE, **hparams})
    random = np.random.default_rng(1)
    for variable in model.weights:
        variable.assign(variable.numpy() + random.normal(scale=0.1, size=variable.shape))
    return model


def encoded(model: keras.Model) -> keras.Model:
    return keras.Model(model.input, model.get_layer("encoded").output)


def weights_of(model: keras.Model) -> dict[str, np.ndarray]:
    return {variable.path: variable.numpy() for variable in model.weights}


def test_base_has_the_published_number_of_parameters():
    field = Field((None,), "int32", ids=30_522, length=512)
    spec = DataSpec({"tokens": field}, "binary", 1)
    entry = zoo.get("bert_base")
    model = entry.build(spec, **entry.hparams)
    head = model.get_layer("logits").count_params()
    assert model.count_params() - head == 109_482_240


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "relu"])
def test_encoder_is_that_of_the_paper_in_float64(activation):
    """All of it again in NumPy, from the paper and from no other code."""
    model = build(activation=activation)
    w = {k: v.astype(np.float64) for k, v in weights_of(model).items()}

    def norm(x, name):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return x * w[f"{name}/gamma"] + w[f"{name}/beta"]

    def dense(x, name):
        return x @ w[f"{name}/kernel"] + w[f"{name}/bias"]

    erf = np.vectorize(math.erf)
    functions = {
        "gelu": lambda x: 0.5 * x * (1 + erf(x / np.sqrt(2))),
        "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
        "relu": lambda x: np.maximum(x, 0),
    }
    [row] = TOKENS[:1]
    x = w["token_embedding/embeddings"][row] + w["position_embedding/embeddings"][:12]
    x = norm(x + w["segment_embedding/embeddings"][0], "embedding_norm")
    for block in ("block1", "block2"):
        query, key, value = np.split(dense(x, f"{block}_attention_query_key_value"), 3, axis=-1)
        heads = []
        for i in range(HEADS):
            part = slice(i * WIDTH // HEADS, (i + 1) * WIDTH // HEADS)
            scores = query[:, part] @ key[:, part].T / np.sqrt(WIDTH / HEADS)
            share = np.exp(scores - scores.max(-1, keepdims=True))
            heads.append(share / share.sum(-1, keepdims=True) @ value[:, part])
        y = dense(np.concatenate(heads, axis=-1), f"{block}_attention_output")
        x = norm(x + y, f"{block}_attention_norm")
        y = dense(functions[activation](dense(x, f"{block}_dense1")), f"{block}_dense2")
        x = norm(x + y, f"{block}_dense_norm")
    np.testing.assert_allclose(encoded(model)({"tokens": TOKENS[:1]})[0], x, rtol=1e-4, atol=1e-5)
    logits = dense(np.tanh(dense(x[0], "pooler")), "logits")
    np.testing.assert_allclose(model({"tokens": TOKENS[:1]})[0], logits, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_weights_of_keras_hub_give_its_outputs():
    import keras_hub

    theirs = keras_hub.models.BertBackbone(
        vocabulary_size=IDS,
        num_layers=2,
        num_heads=HEADS,
        hidden_dim=WIDTH,
        intermediate_dim=MLP,
        max_sequence_length=24,
        dropout=0.0,
    )
    random = np.random.default_rng(2)
    for variable in theirs.weights:
        variable.assign(variable.numpy() + random.normal(scale=0.1, size=variable.shape))
    w = weights_of(theirs)
    model = build(
        DataSpec({**CLASSES.inputs, "segments": Field((None,), "int32")}, "binary", 1),
        activation="gelu_tanh",
    )  # theirs is the approximation
    values = {
        "embedding_norm": "embeddings_layer_norm",
        **{f"{kind}_embedding": f"{kind}_embedding" for kind in ("token", "position", "segment")},
    }
    arrays = {}
    for ours, name in values.items():
        for path in w:
            if path.startswith(f"{name}/"):
                arrays[path.replace(name, ours)] = w[path]
    for i in (1, 2):
        layer, attention = f"transformer_layer_{i - 1}", "self_attention_layer"
        parts = [f"{layer}/{attention}/{part}" for part in ("query", "key", "value")]
        kernels = [w[f"{part}/kernel"].reshape(WIDTH, WIDTH) for part in parts]
        joined = f"block{i}_attention_query_key_value"
        arrays[f"{joined}/kernel"] = np.concatenate(kernels, axis=1)
        arrays[f"{joined}/bias"] = np.concatenate([w[f"{part}/bias"].ravel() for part in parts])
        output = f"{layer}/{attention}/attention_output"
        arrays[f"block{i}_attention_output/kernel"] = w[f"{output}/kernel"].reshape(WIDTH, WIDTH)
        arrays[f"block{i}_attention_output/bias"] = w[f"{output}/bias"]
        for ours, name, ends in (
            ("attention_norm", f"{attention}_norm", ("gamma", "beta")),
            ("dense_norm", "feedforward_layer_norm", ("gamma", "beta")),
            ("dense1", "feedforward_intermediate_dense", ("kernel", "bias")),
            ("dense2", "feedforward_output_dense", ("kernel", "bias")),
        ):
            arrays |= {f"block{i}_{ours}/{end}": w[f"{layer}/{name}/{end}"] for end in ends}
    variables = {v.path: v for v in model.weights}
    for path, array in arrays.items():
        variables.pop(path).assign(array)
    assert {path.partition("/")[0] for path in variables} == {"pooler", "logits"}
    segments = (np.arange(12) > 6).astype(np.int32)[None].repeat(4, axis=0)
    seen = np.arange(12) < np.array([12, 9, 5, 1])[:, None]
    tokens = np.where(seen, TOKENS, 0)
    outputs = theirs({"token_ids": tokens, "segment_ids": segments, "padding_mask": seen})
    ours = encoded(model)({"tokens": tokens, "segments": segments})
    np.testing.assert_allclose(
        ours.numpy()[seen], outputs["sequence_output"].numpy()[seen], rtol=1e-5, atol=1e-5
    )


def test_padding_does_not_change_the_answer():
    model = build()
    logits = model({"tokens": TOKENS[:, :7]})
    padded = np.pad(TOKENS[:, :7], ((0, 0), (0, 17)))
    np.testing.assert_allclose(model({"tokens": padded}), logits, rtol=1e-4, atol=1e-5)


def test_masked_tokens_meet_the_transposed_embedding():
    model = build(MASKED)
    positions = np.array([[0, 3, 11], [5, 5, 2], [1, 2, 3], [11, 10, 9]], np.int32)
    logits = model({"tokens": TOKENS, "masked_positions": positions}).numpy()
    x = encoded(model)({"tokens": TOKENS, "masked_positions": positions}).numpy()
    x = np.take_along_axis(x, positions[..., None], 1)
    w = weights_of(model)
    y = x @ w["transform/kernel"] + w["transform/bias"]
    y = 0.5 * y * (1 + np.vectorize(math.erf)(y / np.sqrt(2)))
    y = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-12)
    y = y * w["transform_norm/gamma"] + w["transform_norm/beta"]
    expected = y @ w["token_embedding/embeddings"].T + w["token_bias/bias"]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_an_activation_that_is_none_is_refused():
    with pytest.raises(ValueError, match="'tanh' is none of gelu, gelu_tanh, relu"):
        build(activation="tanh")
