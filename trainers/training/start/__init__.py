"""Sources of initial weights, applied once before training: one file for each source."""
