"""benchmarks/hf_bert.py: where PyTorch's arrays go, by hand."""

import numpy as np
import pytest

from tests.conftest import ROOT


@pytest.fixture(name="hf_bert")
def _hf_bert(monkeypatch):
    monkeypatch.syspath_prepend(f"{ROOT}/benchmarks")
    import hf_bert

    return hf_bert


def test_kernels_are_transposed_and_queries_keys_and_values_joined(hf_bert):
    random = np.random.default_rng(0)
    parts = ("query", "key", "value")
    attention = "encoder.layer.1.attention"
    theirs = {f"{attention}.self.{part}.weight": random.normal(size=(4, 4)) for part in parts}
    theirs |= {f"{attention}.self.{part}.bias": random.normal(size=4) for part in parts}
    theirs["encoder.layer.1.intermediate.dense.weight"] = random.normal(size=(8, 4))
    theirs[f"{attention}.output.LayerNorm.weight"] = random.normal(size=4)
    theirs["embeddings.word_embeddings.weight"] = random.normal(size=(9, 4))

    ours = hf_bert.weights_by_our_paths(theirs)

    x = random.normal(size=4)
    joined = x @ ours["block2_attention_query_key_value/kernel"]
    joined += ours["block2_attention_query_key_value/bias"]
    for part, made in zip(parts, np.split(joined, 3), strict=True):
        weight, bias = (theirs[f"{attention}.self.{part}.{end}"] for end in ("weight", "bias"))
        np.testing.assert_allclose(made, weight @ x + bias)
    assert ours["block2_dense1/kernel"].shape == (4, 8)
    np.testing.assert_array_equal(
        ours["block2_attention_norm/gamma"], theirs[f"{attention}.output.LayerNorm.weight"]
    )
    assert ours["token_embedding/embeddings"].shape == (9, 4)
    assert len(ours) == 5


def test_unknown_array_is_refused(hf_bert):
    with pytest.raises(ValueError, match=r"cls\.predictions\.bias"):
        hf_bert.weights_by_our_paths({"cls.predictions.bias": np.zeros(3)})
