"""From prepared data to trained weights: the model, its step and the one fit."""
