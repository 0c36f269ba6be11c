"""Any text-classification set of TFDS by name: --pipeline=tfds_text --dataset=ag_news_subset."""

from typing import Any

import tensorflow_datasets as tfds

from pipelines import DataError, Pipeline, Schema, classes
from pipelines.core.splits import by_percent
from pipelines.steps import text
from pipelines.steps.ngrams import ngrams_form
from zoo.spec import Field

LIMITS = {
    "vocab_size": (6, None),  # five pieces are special
    "max_length": (2, None),
    "num_ngrams": (1, 1_073_741_824),
    "validation_percent": (1, 100),
}


def pipeline(
    *,
    dataset: str,
    field: str = "",
    vocab_size: int = 16_000,
    max_length: int = 256,
    ngrams: str = "auto",
    num_ngrams: int = 800_000,
    hash_ngrams: bool = False,
    validation_percent: int = 10,
) -> Pipeline:
    """Validation is the end of the training split; test is TFDS's `test`, or else `validation`.

    Args:
        dataset: TFDS's name, with a configuration and version if needed: "glue/sst2".
        field: name of the text; required if there are several.
        vocab_size: largest number of pieces in the vocabulary, learnt from the training texts.
        max_length: largest number of pieces of a text; longer texts lose their middle.
        ngrams: words (1 to 3), characters within words (1 to 5), both, or auto: both up to 4 MB.
        num_ngrams: largest number of n-grams of each kind: those in the most training texts.
        hash_ngrams: an n-gram's id is its hash among `num_ngrams`, and none are counted.
        validation_percent: percentage of the training split.

    Raises:
        DataError: (once its description is read) it does not have texts with one class each.
    """

    def declare(info: Any) -> tuple[Schema, dict[str, str]]:
        features = info.features
        texts = [name for name, f in features.items() if isinstance(f, tfds.features.Text)]
        labels = [name for name, f in features.items() if getattr(f, "num_classes", None)]
        if len(labels) != 1 or not texts:
            raise DataError(f"{dataset} has no text with one label; it has {sorted(features)}")
        if field not in texts and (field or len(texts) > 1):
            raise DataError(
                f"{dataset} has texts {', '.join(texts)}: "
                f"choose --pipeline_options=field={texts[0]}"
            )
        raw = {field or texts[0]: Field((), "string")}
        schema = classes(raw, tuple(features[labels[0]].names), target=labels[0])
        return schema, by_percent(dataset, info.splits, validation_percent)

    return Pipeline(
        name="tfds_text",
        source=dataset,
        declare=declare,
        forms={
            "pieces": text.pieces_form(vocab_size, max_length, field),
            "ngrams": ngrams_form(ngrams, num_ngrams, hash_ngrams, field),
        },
    )
