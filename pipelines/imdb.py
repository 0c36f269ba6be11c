"""IMDB: 50 000 film reviews, negative or positive (Maas et al. 2011)."""

import dataclasses

from pipelines import Pipeline, classes
from pipelines.steps import text
from pipelines.steps.ngrams import ngrams_form
from zoo.spec import Field

LIMITS = {
    "vocab_size": (6, None),  # five are special tokens
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

    Tasks without labels train on the 22 500 and on 48 000 of the unsupervised split, and validate
    and test on 1 000 of that split each: they never see the reviews that a classifier is validated
    or tested on.

    Args:
        vocab_size: maximum number of tokens in the vocabulary, learnt from the training reviews.
        max_length: maximum number of tokens per review; longer ones lose their middle. Half the
            reviews have more than 230, a fifth more than 400.
        tokenizer: pieces (SentencePiece), bytes (lossless byte-level BPE) or word_pieces (of BERT).
        ngrams: words (1 to 3), characters within words (1 to 5), both, or auto: both up to 4 MB of
            training text, otherwise words.
        num_ngrams: maximum number of n-grams of each kind, by document frequency in training.
        hash_ngrams: ids are hashes of n-grams into `num_ngrams` buckets; no vocabulary is counted.
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
