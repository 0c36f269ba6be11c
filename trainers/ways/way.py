"""What a way may change in training; every part is optional."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Way:
    """The parts of one way, with its options bound.

    A file of this package with a function `way(**options) -> Way` is a way of the file's name. Its
    literals are read without importing it: `OPTIONS` (name: default), `LIMITS` (name: the lowest
    number and the first that is too high) and, where each replica's share of a batch is cut into
    equal parts, `BATCH_DIVISOR`, the name of the option with their number.
    """

    # (model, inner, batch) -> (gradients, outputs); `inner(batch)` returns those without this way.
    gradients: Callable | None = None
    # (model, batch) -> None: the whole step, in place of gradients, update and metrics.
    step: Callable | None = None
    # (prepared, *, batch_size, seed) -> Plan: another order of the training rows.
    plan: Callable | None = None
    # model -> model, for training and for the export; its new variables have paths of their own.
    transform: Callable | None = None
    # (trainable variables) -> None, on each replica after an update that was applied.
    after_update: Callable | None = None
    # weights by path -> weights by path, before they are tested and exported.
    finish: Callable | None = None
    # model -> None; raises UsageError where this way cannot train it.
    check: Callable | None = None
    # For run.json.
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
