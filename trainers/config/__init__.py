"""The settings of a run: fields, flags and checks."""
