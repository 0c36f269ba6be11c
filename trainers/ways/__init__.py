"""Ways to take a training step, one file each."""
