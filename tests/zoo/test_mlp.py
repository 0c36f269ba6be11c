"""The multi-layer perceptron: its function by hand, and the data that it takes."""

import numpy as np
import pytest

import zoo
from zoo.spec import DataSpec, Field

RANDOM = np.random.default_rng(0)
SPEC = DataSpec({"a": Field((3,), "float32"), "b": Field((2, 2), "float32")}, "binary", 1)


def test_mlp_is_dense_layers_with_relu_over_all_inputs():
    model = zoo.get("mlp").build(SPEC, hidden=(5, 4))
    x = {name: RANDOM.normal(size=(6, *field.shape)) for name, field in SPEC.inputs.items()}
    h = np.concatenate([x["a"], x["b"].reshape(6, 4)], axis=1)
    for name in ("dense1", "dense2"):
        kernel, bias = (np.array(w) for w in model.get_layer(name).weights)
        h = np.maximum(h @ kernel + bias, 0)
    kernel, bias = (np.array(w) for w in model.get_layer("logits").weights)
    np.testing.assert_allclose(model(x), h @ kernel + bias, atol=1e-5)
    assert h.shape == (6, 4)


def test_mlp_takes_any_task_and_width_of_output():
    spec = SPEC._replace(task="classification", num_outputs=7)
    for name in ("mlp", "mlp_binary", "mlp_classifier"):
        assert zoo.get(name).build(spec).output_shape == (None, 7)


def test_variants_are_for_a_task_of_their_own():
    assert zoo.describe("mlp_binary").tasks == ("binary",)
    assert zoo.describe("mlp_classifier").tasks == ("classification",)
    assert zoo.describe("mlp").tasks == ()
    assert "task" not in zoo.describe("mlp").hparams


@pytest.mark.parametrize("field", [Field((None,), "float32"), Field((4,), "int32")])
def test_mlp_refuses_other_inputs(field):
    with pytest.raises(ValueError, match="mlp takes numbers of a fixed size; input 'a' is"):
        zoo.get("mlp").build(SPEC._replace(inputs={"a": field}))
