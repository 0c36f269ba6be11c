"""Callbacks between training steps: saving, stopping and logging."""
