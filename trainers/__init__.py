"""How a model is trained, tested and exported: the only place that knows models and data."""
