"""Compares the outputs of our BERT and Hugging Face's, in PyTorch, with the same weights.

    pip install torch transformers
    python benchmarks/hf_bert.py [--sizes=bert_tiny,bert_base]

Their model has random weights, the same sizes as ours and the exact GELU. Its weights are copied to
ours, and both read the same rows, some of them padded. The exit code is 1 if an output at a real
token, or of the pooler, differs by more than 1e-5.
"""

import re
import sys
from collections.abc import Mapping

import keras
import numpy as np
from absl import app, flags

import zoo
from zoo.spec import DataSpec, Field

_SIZES = flags.DEFINE_list("sizes", ["bert_tiny", "bert_mini"], "Models of the zoo.")
_IDS, _LENGTH = 30_522, 64
_LIMIT = 1e-5
# Their name -> ours, for weights other than those of queries, keys and values.
_NAMES = (
    (r"embeddings\.word_embeddings\.weight", "token_embedding/embeddings"),
    (r"embeddings\.position_embeddings\.weight", "position_embedding/embeddings"),
    (r"embeddings\.token_type_embeddings\.weight", "segment_embedding/embeddings"),
    (r"embeddings\.LayerNorm", "embedding_norm"),
    (r"pooler\.dense", "pooler"),
    (r"attention\.output\.dense", "attention_output"),
    (r"attention\.output\.LayerNorm", "attention_norm"),
    (r"intermediate\.dense", "dense1"),
    (r"output\.dense", "dense2"),
    (r"output\.LayerNorm", "dense_norm"),
)


def weights_by_our_paths(theirs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of a `BertModel` by the paths of zoo/bert.py."""
    arrays, parts = {}, {}
    for name, array in theirs.items():
        layer = re.match(r"encoder\.layer\.(\d+)\.(.*)", name)
        block = f"block{int(layer[1]) + 1}_" if layer else ""
        inner = layer[2] if layer else name
        kernel = inner.endswith(".weight") and array.ndim == 2 and "embeddings" not in inner
        array = array.T if kernel else array  # PyTorch has (outputs, inputs)
        cut = re.fullmatch(r"attention\.self\.(query|key|value)\.(weight|bias)", inner)
        if cut:
            path = f"{block}attention_query_key_value/{'kernel' if kernel else 'bias'}"
            parts.setdefault(path, {})[cut[1]] = array
            continue
        arrays[f"{block}{_path(inner)}"] = array
    for path, by_part in parts.items():
        joined = [by_part[part] for part in ("query", "key", "value")]
        arrays[path] = np.concatenate(joined, axis=-1)
    return arrays


def _path(theirs: str) -> str:
    """Our path within the model, or within a block."""
    for pattern, ours in _NAMES:
        match = re.fullmatch(rf"{pattern}(?:\.(weight|bias))?", theirs)
        if match and not match[1]:
            return ours
        if match:
            norm = ours.endswith("norm")
            weight, bias = ("gamma", "beta") if norm else ("kernel", "bias")
            return f"{ours}/{weight if match[1] == 'weight' else bias}"
    raise ValueError(f"nothing of ours is {theirs}")


def distances(name: str) -> tuple[float, float]:
    """The largest difference of the encoder's outputs at real tokens, and of the pooler's."""
    import torch
    import transformers

    entry = zoo.get(name)
    sizes = {**zoo.describe(name).hparams, "dropout": 0.0}
    fields = {
        "tokens": Field((None,), "int32", ids=_IDS, length=_LENGTH),
        "segments": Field((None,), "int32"),
    }
    ours = entry.build(DataSpec(fields, "binary", 1), **sizes)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=_IDS,
        hidden_size=sizes["width"],
        num_hidden_layers=sizes["num_layers"],
        num_attention_heads=sizes["num_heads"],
        intermediate_size=sizes["mlp_dim"],
        max_position_embeddings=_LENGTH,
        hidden_act="gelu",
        attn_implementation="eager",
    )
    theirs = transformers.BertModel(config).eval()
    with torch.no_grad():
        for weight in theirs.parameters():  # also those that start at zero or one
            weight.add_(torch.randn_like(weight), alpha=0.02)
    arrays = weights_by_our_paths({k: v.numpy() for k, v in theirs.state_dict().items()})
    variables = {v.path: v for v in ours.weights if not v.path.startswith("logits/")}
    if arrays.keys() != variables.keys():
        raise ValueError(f"paths differ: {sorted(arrays.keys() ^ variables.keys())}")
    for path, variable in variables.items():
        variable.assign(arrays[path])

    random = np.random.default_rng(0)
    real = np.arange(_LENGTH) < np.array([_LENGTH, 40, 9, 1])[:, None]  # (rows, T)
    tokens = np.where(real, random.integers(1, _IDS, real.shape), 0).astype(np.int32)
    segments = np.where(real, random.integers(0, 2, real.shape), 0).astype(np.int32)
    with torch.no_grad():
        answer = theirs(
            input_ids=torch.tensor(tokens, dtype=torch.long),
            token_type_ids=torch.tensor(segments, dtype=torch.long),
            attention_mask=torch.tensor(real),
        )
    layers = [ours.get_layer(layer).output for layer in ("encoded", "pooler")]
    encoded, pooled = keras.Model(ours.input, layers)({"tokens": tokens, "segments": segments})
    apart = np.abs(encoded.numpy() - answer.last_hidden_state.numpy())[real]
    return float(apart.max()), float(np.abs(pooled.numpy() - answer.pooler_output.numpy()).max())


def main(_):
    """Compares every requested model."""
    worst = 0.0
    for name in _SIZES.value:
        encoder, pooler = distances(name)
        print(f"{name}: encoder {encoder:.2e}, pooler {pooler:.2e} apart; limit {_LIMIT:.0e}")
        worst = max(worst, encoder, pooler)
    sys.exit(worst > _LIMIT)


if __name__ == "__main__":
    app.run(main)
