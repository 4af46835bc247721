"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.progress import track as rich_track

Item = TypeVar("Item")

_PLAIN_INTERVAL_SECONDS = 10.0


def say(message: str) -> None:
    """Print one line at once, whatever reads the output."""
    print(message, flush=True)


def track(items: Iterable[Item], label: str, total: int) -> Iterator[Item]:
    """Yield `items` and report how many of `total` are done."""
    if sys.stdout.isatty():
        yield from rich_track(items, description=label, total=total)
    else:
        yield from _track_plainly(items, label, total)


def _track_plainly(items: Iterable[Item], label: str, total: int) -> Iterator[Item]:
    last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - last >= _PLAIN_INTERVAL_SECONDS and done < total:
            last = time.monotonic()
            say(f"{label}: {done}/{total}")
    say(f"{label}: done ({total})")
