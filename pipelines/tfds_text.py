"""Any text-classification set of TFDS by name: --pipeline=tfds_text --dataset=ag_news_subset."""

import dataclasses
from collections.abc import Collection
from typing import Any

import tensorflow_datasets as tfds

from pipelines import DataError, Pipeline, Schema, classes
from pipelines.core.splits import by_percent
from pipelines.steps import text
from pipelines.steps.ngrams import ngrams_form
from zoo.spec import Field

LIMITS = {
    "vocab_size": (6, None),  # five are special tokens
    "max_length": (2, None),
    "num_ngrams": (1, 1_073_741_824),
    "validation_percent": (1, 100),
}
_MORE = "unsupervised"  # what TFDS calls the split of texts without labels


def pipeline(
    *,
    dataset: str,
    field: str = "",
    vocab_size: int = 16_000,
    max_length: int = 256,
    tokenizer: str = "pieces",
    ngrams: str = "auto",
    num_ngrams: int = 800_000,
    hash_ngrams: bool = False,
    validation_percent: int = 10,
    test_split: str = "",
) -> Pipeline:
    """Validation is the end of the training split; test is TFDS's `test`, or else `validation`.

    Tasks without labels also train on the split `unsupervised`, if it exists, and take validation
    and test from it.

    Args:
        dataset: TFDS's name, with a configuration and version if needed: "ag_news_subset:1.0.0".
        field: name of the text; required if there are several.
        vocab_size: maximum number of tokens in the vocabulary, learnt from the training texts.
        max_length: maximum number of tokens per text; longer texts lose their middle.
        tokenizer: pieces (SentencePiece), bytes (lossless byte-level BPE) or word_pieces (of BERT).
        ngrams: words (1 to 3), characters within words (1 to 5), both, or auto: both up to 4 MB of
            training text, otherwise words.
        num_ngrams: maximum number of n-grams of each kind, by document frequency in training.
        hash_ngrams: ids are hashes of n-grams into `num_ngrams` buckets; no vocabulary is counted.
        validation_percent: percentage of the training split.
        test_split: TFDS's split to test on, if its `test` has no labels: "validation" for
            "glue/sst2".

    Raises:
        DataError: (once its description is read) the data set has no texts, or classes are needed
            and it does not have one for each text.
    """

    def declare(info: Any) -> tuple[Schema, dict[str, str]]:
        features = info.features
        labels = [name for name, f in features.items() if getattr(f, "num_classes", None)]
        if len(labels) != 1 or not _texts(features):
            raise DataError(f"{dataset} has no text with one label; it has {sorted(features)}")
        raw = {_chosen(dataset, features, field): Field((), "string")}
        schema = classes(raw, tuple(features[labels[0]].names), target=labels[0])
        return schema, by_percent(dataset, info.splits, validation_percent, test_split)

    def declare_texts(info: Any) -> tuple[Schema, dict[str, str]]:
        raw = {_chosen(dataset, info.features, field): Field((), "string")}
        return Schema(raw, "masked_lm", None), _splits(dataset, info.splits, validation_percent)

    labelled = Pipeline(
        name="tfds_text",
        source=dataset,
        declare=declare,
        forms={
            "pieces": text.pieces_form(vocab_size, max_length, field, tokenizer),
            "ngrams": ngrams_form(ngrams, num_ngrams, hash_ngrams, field),
        },
    )
    unlabelled = dataclasses.replace(labelled, declare=declare_texts)
    return dataclasses.replace(labelled, unlabelled=lambda: unlabelled)


def _texts(features: Any) -> list[str]:
    return [name for name, f in features.items() if isinstance(f, tfds.features.Text)]


def _chosen(dataset: str, features: Any, field: str) -> str:
    """The name of the text field. DataError: there is none, or several and none was chosen."""
    texts = _texts(features)
    if not texts:
        raise DataError(f"{dataset} has no text; it has {sorted(features)}")
    if field not in texts and (field or len(texts) > 1):
        raise DataError(
            f"{dataset} has texts {', '.join(texts)}: choose --pipeline_options=field={texts[0]}"
        )
    return field or texts[0]


def _splits(dataset: str, available: Collection[str], validation: int) -> dict[str, str]:
    """TFDS's names of our splits for tasks without labels: training uses no test text."""
    kept, half = 100 - max(2, validation), 100 - max(1, validation // 2)
    more = _MORE in available
    if more or (available and not {"test", "validation"} & set(available)):
        cut = _MORE if more else "train"
        return {
            "train": f"train[:{kept}%]" + (f"+{_MORE}[:{kept}%]" if more else ""),
            "validation": f"{cut}[{kept}%:{half}%]",
            "test": f"{cut}[{half}%:]",
        }
    return by_percent(dataset, available, validation)
