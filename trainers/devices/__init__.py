"""One device or many: strategy, precision and every patch of private Keras code."""
