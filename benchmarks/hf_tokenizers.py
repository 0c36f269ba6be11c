"""Hugging Face's `tokenizers`, configured as ours: the implementation that ours must equal."""

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
    written = [byte_words.shown(content) for content in byte_bpe.pieces(merges)]
    ids = {piece: i for i, piece in enumerate(written) if piece}
    pairs = [(written[left], written[right]) for left, right in merges.tolist()]
    made = tokenizers.Tokenizer(tokenizers.models.BPE(ids, pairs))
    cut = tokenizers.pre_tokenizers
    made.pre_tokenizer = cut.Sequence(
        [
            cut.Split(tokenizers.Regex(_PATTERN), "isolated"),
            cut.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return made


def word_piece(vocabulary: np.ndarray):
    """WordPiece with BERT's words, accents kept."""
    ids = {str(piece): i for i, piece in enumerate(vocabulary)}
    model = tokenizers.models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100)  # noqa: S106
    made = tokenizers.Tokenizer(model)
    made.normalizer = tokenizers.normalizers.BertNormalizer(strip_accents=False)
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    return made
