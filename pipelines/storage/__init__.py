"""Where stored examples come from: TFDS builders and their files."""
