"""What a model is worth: metrics, intervals and baselines."""
