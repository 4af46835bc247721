"""Progress of long work, for people who watch it: silent until a program asks to show it.

A library call prints nothing; its messages go to the logger `clflow` at level INFO. Stage scripts
and the command line work within `show()`: a bar on a terminal, plain lines elsewhere.
"""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")

_PLAIN_INTERVAL_SECONDS = 10.0
_LOG = logging.getLogger("clflow")

_shown = False
_silent = False


@contextmanager
def show() -> Iterator[None]:
    """Within the block, let this process print its progress to stdout.

    >>> with show():
    ...     say("3 images")
    3 images
    """
    global _shown
    before, _shown = _shown, True
    try:
        yield
    finally:
        _shown = before


@contextmanager
def silent() -> Iterator[None]:
    """Within the block, tell nothing: for work that is told of as a whole.

    >>> with show(), silent():
    ...     say("3 images")
    """
    global _silent
    before, _silent = _silent, True
    try:
        yield
    finally:
        _silent = before


def say(message: str) -> None:
    """Tell one line: print it at once where progress is shown, else log it."""
    # not by a handler: MLflow and anomalib work with all logging disabled
    if _silent:
        return
    if _shown:
        print(message, flush=True)
    else:
        _LOG.info(message)


def track(items: Iterable[Item], label: str, total: int | None) -> Iterator[Item]:
    """Yield `items` and tell how many of `total` are done; None where nobody knows how many."""
    if _shown and not _silent and sys.stdout.isatty():
        from rich.progress import track as rich_track

        yield from rich_track(items, description=label, total=total)
    else:
        yield from _track_plainly(items, label, total)


def _track_plainly(items: Iterable[Item], label: str, total: int | None) -> Iterator[Item]:
    last, done = time.monotonic(), 0
    for done, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - last >= _PLAIN_INTERVAL_SECONDS and done != total:
            last = time.monotonic()
            say(f"{label}: {done}" if total is None else f"{label}: {done}/{total}")
    say(f"{label}: done ({done if total is None else total})")
