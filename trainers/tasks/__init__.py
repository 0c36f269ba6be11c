"""What is asked of a model: one file a task, with its loss, metrics, signatures and report."""
