"""Between the steps: saving, stopping and what is shown while a run trains."""
