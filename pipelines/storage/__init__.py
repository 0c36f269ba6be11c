"""Stored examples: TFDS builders, their files, and a cache of preprocessed rows."""
