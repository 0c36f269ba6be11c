"""What every data set passes through: declaration, splits, order, randomness and batches."""
