"""IMDB: 50 000 film reviews, negative or positive (Maas et al. 2011)."""

from pipelines import Pipeline, classes
from pipelines.steps import text
from zoo.spec import Field

LIMITS = {"vocab_size": (6, None), "max_length": (2, None)}  # five pieces are special


def pipeline(*, vocab_size: int = 16_000, max_length: int = 400) -> Pipeline:
    """22 500 / 2 500 / 25 000 reviews for training / validation / test.

    Args:
        vocab_size: largest number of pieces in the vocabulary, learnt from the training reviews.
        max_length: largest number of pieces of a review; longer ones lose their middle. Half the
            reviews have more than 230, a fifth more than 400.
    """
    return Pipeline(
        name="imdb",
        source="imdb_reviews/plain_text:1.*.*",
        splits={"train": "train[:90%]", "validation": "train[90%:]", "test": "test"},
        schema=classes({"text": Field((), "string")}, ("neg", "pos")),
        forms={"pieces": text.pieces_form(vocab_size, max_length)},
    )
