"""Exporting models, and predicting with exported models."""
