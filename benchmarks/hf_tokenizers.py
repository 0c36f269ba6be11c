"""Hugging Face's `tokenizers`, configured like ours: the reference that ours must match."""

import numpy as np
import tokenizers

from pipelines.steps import byte_bpe, byte_words
from pipelines.steps.characters import WHITE_SPACE

_SPACE = "".join(f"\\x{{{ord(character):x}}}" for character in WHITE_SPACE)
# GPT-2's pattern, with white space written out.
_PATTERN = (
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+"
    rf"| ?[^{_SPACE}\p{{L}}\p{{N}}]+|[{_SPACE}]+(?![^{_SPACE}])|[{_SPACE}]+"
)


def byte_level(merges: np.ndarray):
    """Byte-level BPE with these merges."""
    pieces = [byte_words.to_characters(content) for content in byte_bpe.pieces(merges)]
    ids = {piece: i for i, piece in enumerate(pieces) if piece}
    pairs = [(pieces[left], pieces[right]) for left, right in merges.tolist()]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(ids, pairs))
    pre = tokenizers.pre_tokenizers
    tokenizer.pre_tokenizer = pre.Sequence(
        [
            pre.Split(tokenizers.Regex(_PATTERN), "isolated"),
            pre.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer


def word_piece(vocabulary: np.ndarray):
    """WordPiece with BERT's split into words; accents are kept."""
    ids = {str(piece): i for i, piece in enumerate(vocabulary)}
    model = tokenizers.models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100)  # noqa: S106
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(strip_accents=False)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    return tokenizer
