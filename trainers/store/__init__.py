"""The run folder: who owns it, what it records, checkpoints and file formats."""
