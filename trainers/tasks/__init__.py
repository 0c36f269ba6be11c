"""What is asked of a model: one task a file."""
