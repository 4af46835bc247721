"""Everything a summary is made from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from clflow.tables.evidence import Evidence, marks_of
from clflow.tables.intervals import RESAMPLED
from clflow.tables.marks import Marks
from clflow.tables.ours import Ours
from clflow.tables.runs import Run
from clflow.tables.settings import TabulateSettings
from clflow.tables.summary import OVERALL, UNDEFINED, Summary, summarize


@dataclass(frozen=True, eq=False)
class Report:
    """A study's runs, its tidy table, what qualifies it, and published values beside it."""

    study: str
    dataset: str
    runs: Sequence[Run]
    results: pd.DataFrame
    evidence: Evidence
    ours: Ours
    published: pd.DataFrame
    settings: TabulateSettings

    @property
    def seeds(self) -> list[int]:
        """The seeds, in the order of the study."""
        return [int(seed) for seed in self.results["seed"].unique()]

    @property
    def marks(self) -> Marks:
        """What the tables may mark."""
        return marks_of(self.evidence.comparisons, self.evidence.flags)

    @property
    def interval_title(self) -> str:
        """The title of the table of intervals."""
        return f"Image AUROC, {100 * self.settings.confidence:g} % intervals"


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """A table beside the results: its values, the same for a reader, what to know with it."""

    name: str
    title: str
    lead: str
    values: pd.DataFrame
    cells: pd.DataFrame
    notes: tuple[str, ...]


def interval_cells(report: Report) -> tuple[Summary, list[list[str]]]:
    """Return the summary of image AUROC and, for each of its rows, cells `0.945 [0.891, 0.987]`."""
    summary = summarize(report.results, RESAMPLED)
    table = report.evidence.intervals
    own = table[table["metric"] == RESAMPLED]
    keys = zip(own["category"], own["method"], strict=True)
    values = zip(own["mean"], own["low"], own["high"], strict=True)
    numbers = dict(zip(keys, values, strict=True))
    cells = [
        [_interval(*numbers[place, method], report.settings.digits) for method in summary.methods]
        for place in [*summary.categories, OVERALL]
    ]
    return summary, cells


def _interval(mean: float, low: float, high: float, digits: int) -> str:
    if math.isnan(mean):
        return UNDEFINED
    bounds = "" if math.isnan(low) else f" [{low:.{digits}f}, {high:.{digits}f}]"
    return f"{mean:.{digits}f}{bounds}"
