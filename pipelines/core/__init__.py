"""Code that all data sets share: declaration, splits, order, randomness and batches."""
