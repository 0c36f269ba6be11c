"""What a model can be trained for: one file per task, with loss, metrics, signatures, report."""
