"""Every weight loses a fraction after each update, whatever the optimizer."""

from trainers.ways.way import Way

OPTIONS = {"fraction": 0.001}
LIMITS = {"fraction": (0.0, 1.0)}


def way(*, fraction: float) -> Way:
    """Weight decay after the update.

    Args:
        fraction: of each weight that an update takes away.
    """

    def after_update(variables):
        for variable in variables:
            variable.assign(variable * (1 - fraction))

    return Way(after_update=after_update)
