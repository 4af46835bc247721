"""Which way a table of methods and categories lies: one row per whichever there are more of."""

from collections.abc import Sequence
from dataclasses import dataclass

from clflow.tables.summary import Summary

# more methods than these are rows: beside each other they would be wider than any page
_MOST_COLUMNS = 8


@dataclass(frozen=True)
class Oriented:
    """A table as it is printed: its header, and its rows with what they are in front.

    `mean_last` says whether the last row is the mean over categories.
    """

    columns: list[str]
    rows: list[list[str]]
    mean_last: bool


def oriented(summary: Summary, cells: Sequence[Sequence[str]]) -> Oriented:
    """Return a table of texts [categories + 1, methods], methods across unless they are many."""
    labels = [*summary.categories, summary.mean_label]
    if len(summary.methods) <= _MOST_COLUMNS:
        rows = [[label, *row] for label, row in zip(labels, cells, strict=True)]
        return Oriented(["Category", *summary.methods], rows, mean_last=True)
    turned = [
        [method, *column]
        for method, column in zip(summary.methods, zip(*cells, strict=True), strict=True)
    ]
    return Oriented(["Method", *labels], turned, mean_last=False)
