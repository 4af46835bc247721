"""All that qualifies the means of a study: intervals, tests and flags; and what may be marked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from clflow.tables.comparison import BY_CATEGORY, WILCOXON
from clflow.tables.comparisons import comparison_table
from clflow.tables.flags import Flag, flags_of
from clflow.tables.intervals import interval_table
from clflow.tables.marks import Claim, Marks
from clflow.tables.runs import Run
from clflow.tables.scores import CategoryScores
from clflow.tables.settings import TabulateSettings
from clflow.tables.summary import OVERALL


@dataclass(frozen=True, eq=False)
class Evidence:
    """Tables of intervals and tests, and the flags of failed and degenerate runs."""

    intervals: pd.DataFrame
    comparisons: pd.DataFrame
    flags: tuple[Flag, ...]


def gather_evidence(
    runs: Sequence[Run],
    results: pd.DataFrame,
    scores: Mapping[str, CategoryScores],
    settings: TabulateSettings,
) -> Evidence:
    """Return intervals, tests and flags of a study from its tidy table and raw scores."""
    return Evidence(
        interval_table(results, scores, settings),
        comparison_table(results, scores, settings),
        flags_of(runs, scores),
    )


def marks_of(comparisons: pd.DataFrame, flags: Sequence[Flag] = ()) -> Marks:
    """Return the marks of a table of tests and of flags; a mean has the flags of its categories.

    Tests of means over categories are Wilcoxon's; all are adjusted by Holm.
    """
    used = comparisons["test"].isin([*BY_CATEGORY, WILCOXON])
    tested = comparisons[comparisons["significant"] & used]
    claims = (_claim(row) for row in tested.to_dict("records"))
    places = ((place, flag.method) for flag in flags for place in (flag.category, OVERALL))
    return Marks(frozenset(claims), frozenset(places))


def _claim(row: Mapping[Any, Any]) -> Claim:
    worse = row["second"] if row["better"] == row["first"] else row["first"]
    return Claim(row["metric"], row["category"], row["better"], worse)
