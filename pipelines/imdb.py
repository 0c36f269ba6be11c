"""IMDB: 50 000 film reviews, negative or positive (Maas et al. 2011)."""

from pipelines import Pipeline
from pipelines.steps import text
from zoo.spec import Field


def pipeline(*, vocab_size: int = 16_000, max_length: int = 400) -> Pipeline:
    """22 500 / 2 500 of the training split for training / validation; the test split is as large.

    Args:
        vocab_size: pieces in the vocabulary, which is learnt from the training reviews.
        max_length: pieces of a review that are read; half the reviews have more than 230, a fifth
            more than 400.
    """
    prepare, bind = text.steps(vocab_size, max_length)
    return Pipeline(
        name="imdb",
        source="imdb_reviews/plain_text:1.*.*",
        splits={"train": "train[:90%]", "validation": "train[90%:]", "test": "test"},
        task="binary",
        target="label",
        class_names=("neg", "pos"),
        raw={"text": Field((), "string")},
        prepare=prepare,
        bind=bind,
        padded=("tokens",),
    )
