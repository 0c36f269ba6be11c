"""Evaluating models: metrics, intervals and baselines."""
