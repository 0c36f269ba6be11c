"""What leaves a run: exported models and how they are asked."""
