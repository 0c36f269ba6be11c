"""The linear model: its function by hand, over numbers and over texts."""

import numpy as np
import pytest

import zoo
from zoo.spec import DataSpec, Field

RANDOM = np.random.default_rng(0)


def test_linear_is_one_weight_for_each_number_and_output():
    spec = DataSpec({"a": Field((2, 2), "float32"), "b": Field((3,), "float32")}, "binary", 2)
    model = zoo.get("linear").build(spec)
    x = {name: RANDOM.normal(size=(5, *field.shape)) for name, field in spec.inputs.items()}
    kernel, bias = (np.array(w) for w in model.get_layer("logits").weights)
    joined = np.concatenate([x["a"].reshape(5, 4), x["b"]], axis=1)
    np.testing.assert_allclose(model(x), joined @ kernel + bias, atol=1e-5)
    assert model.count_params() == 7 * 2 + 2


def test_linear_refuses_other_inputs():
    spec = DataSpec({"a": Field((None, 3), "float32")}, "binary", 1)
    with pytest.raises(ValueError, match="linear takes numbers of a fixed size and tokens"):
        zoo.get("linear").build(spec)
