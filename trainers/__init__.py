"""Trains, tests and exports models: the one package that imports both the zoo and the pipelines."""
