"""IMDB: 50 000 film reviews, negative or positive (Maas et al. 2011)."""

import dataclasses

from pipelines import Pipeline, classes
from pipelines.steps import text
from pipelines.steps.ngrams import ngrams_form
from zoo.spec import Field

LIMITS = {
    "vocab_size": (6, None),  # five pieces are special
    "max_length": (2, None),
    "num_ngrams": (1, 1_073_741_824),
}


def pipeline(
    *,
    vocab_size: int = 16_000,
    max_length: int = 400,
    tokenizer: str = "pieces",
    ngrams: str = "words",
    num_ngrams: int = 800_000,
    hash_ngrams: bool = False,
) -> Pipeline:
    """22 500 / 2 500 / 25 000 reviews for training / validation / test.

    Without labels, the 22 500 and 48 000 of the unsupervised split for training, 1 000 of that for
    each of the others: what a classifier is validated and tested on is not seen before.

    Args:
        vocab_size: largest number of pieces in the vocabulary, learnt from the training reviews.
        max_length: largest number of pieces of a review; longer ones lose their middle. Half the
            reviews have more than 230, a fifth more than 400.
        tokenizer: pieces, bytes (byte-pair encoding, without a loss) or word_pieces (BERT's).
        ngrams: words (1 to 3), characters within words (1 to 5), both, or auto (both up to 4 MB).
        num_ngrams: largest number of n-grams of each kind: those in the most training reviews.
        hash_ngrams: an n-gram's id is its hash among `num_ngrams`, and none are counted.
    """
    labelled = Pipeline(
        name="imdb",
        source="imdb_reviews/plain_text:1.*.*",
        splits={"train": "train[:90%]", "validation": "train[90%:]", "test": "test"},
        schema=classes({"text": Field((), "string")}, ("neg", "pos")),
        forms={
            "pieces": text.pieces_form(vocab_size, max_length, tokenizer=tokenizer),
            "ngrams": ngrams_form(ngrams, num_ngrams, hash_ngrams),
        },
    )
    more = {
        "train": "train[:90%]+unsupervised[:96%]",
        "validation": "unsupervised[96%:98%]",
        "test": "unsupervised[98%:]",
    }
    texts = labelled.schema._replace(task="masked_lm", target=None, class_names=())
    unlabelled = dataclasses.replace(labelled, splits=more, schema=texts)
    return dataclasses.replace(labelled, unlabelled=lambda: unlabelled)
