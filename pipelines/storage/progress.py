"""Progress of long work: a bar on a terminal, a line every 30 seconds in a log."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

_Item = TypeVar("_Item")
_DELAY = 2.0  # seconds of work before anything is shown
_LOG_INTERVAL = 30.0  # seconds between two lines of a log


def progress(items: Iterable[_Item], total: int | None, label: str) -> Iterator[_Item]:
    """The items, with their progress on stderr once they take more than two seconds.

    Args:
        total: number of items; None: unknown.
    """
    terminal = sys.stderr.isatty()
    interval = 0.1 if terminal else _LOG_INTERVAL
    # Looked up at each call: tests and notebooks replace sys.stderr.
    yield from tqdm(
        items,
        label,
        total,
        leave=False,
        file=sys.stderr,
        delay=_DELAY,
        mininterval=interval,
        maxinterval=max(10.0, interval),
    )
