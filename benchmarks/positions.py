"""How many positions a network computes for IMDB's texts: padded, batched by length, and packed.

    TFDS_DATA_DIR=... python benchmarks/positions.py [--max_length=512] [--batch_size=32]

Padded: every row has `max_length` positions. Batched by length, as in text classification: a batch
is as wide as its longest text needs (pipelines/core/padding.py). Packed, as under
--task=masked_lm: texts follow one another, and long ones are not cut.
"""

import numpy as np
from absl import app, flags

from trainers.errors import import_tensorflow

_LENGTH = flags.DEFINE_integer("max_length", 512, "Tokens per row.", lower_bound=16)
_BATCH = flags.DEFINE_integer("batch_size", 32, "Rows per step.", lower_bound=1)
_EPOCHS = 3  # over which widths are averaged


def main(argv: list[str]) -> None:
    """Prints the positions of an epoch, and the fraction of them that is text."""
    del argv
    import_tensorflow()
    from pipelines.core.padding import widths_of
    from pipelines.core.stream import default_plan
    from trainers.config.settings import resolve
    from trainers.training import data

    def prepared(**changes):
        options = {"max_length": _LENGTH.value, "vocab_size": 16_000}
        changes |= {"pipeline": "imdb", "pipeline_options": options}
        return data.load(resolve("transformer_encoder", changes), None)

    labelled = prepared()
    lengths = {"tokens": labelled.inputs_of("train").lengths["tokens"]}
    options = {"batch_size": _BATCH.value, "training": True, "seed": 0}
    plan = default_plan(labelled, "train", **options)
    computed = 0
    for epoch in range(_EPOCHS):
        rows = plan.rows(epoch, 0, plan.steps)
        widths = widths_of(rows, lengths, {"tokens": _LENGTH.value})
        computed += int(widths.sum()) * _BATCH.value / _EPOCHS
    text, padded = int(lengths["tokens"].sum()), plan.steps * _BATCH.value * _LENGTH.value
    print(f"{len(lengths['tokens'])} texts, {text} tokens, cut at {_LENGTH.value}")
    print(f"padded            {padded:12d} positions, {text / padded:.3f} of them text")
    print(
        f"batched by length {computed:12.0f} positions, {text / computed:.3f} of them text: "
        f"{padded / computed:.2f} times fewer"
    )
    windows = prepared(task="masked_lm").inputs_of("train")
    tokens = int(np.sum(windows.lengths["tokens"]))
    positions = windows.num_rows * _LENGTH.value
    print(f"packed            {positions:12d} positions, {tokens / positions:.4f} of them text")


if __name__ == "__main__":
    app.run(main)
