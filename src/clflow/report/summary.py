"""The summary of one metric: means and deviations by category and method, and what a table shows.

The mean of a method over categories is made here alone, for the tables and for MLflow.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from clflow.metrics.registry import METRICS, Metric


class Claim(NamedTuple):
    """A method is significantly better than another on a category, or over all of them for ""."""

    metric: str
    category: str
    better: str
    worse: str


class Marks(NamedTuple):
    """The claims that tests support, and category and method of what has a flag."""

    claims: frozenset[Claim] = frozenset()
    flagged: frozenset[tuple[str, str]] = frozenset()


NO_MARKS = Marks()


UNDEFINED = "–"
# The category of what is over all of them: no category has this name.
OVERALL = ""
# the metric that has intervals: it alone is made of one score per image
RESAMPLED = "image_auroc"


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation of a metric over seeds.

    Rows of `mean` and `std` [categories + 1, methods] are the categories, then the unweighted mean
    over `averaged`, the categories where every method has a value for every seed.
    """

    metric: Metric
    mean: pd.DataFrame
    std: pd.DataFrame
    averaged: tuple[str, ...]

    @property
    def categories(self) -> list[str]:
        """The categories, in the order of the study."""
        return list(self.mean.index[:-1])

    @property
    def methods(self) -> list[str]:
        """The methods, in the order of the study."""
        return list(self.mean.columns)

    @property
    def mean_label(self) -> str:
        """What the last row is the mean of."""
        used, total = len(self.averaged), len(self.categories)
        counted = str(total) if used == total else f"{used} of {total}"
        return f"mean of {counted} {'category' if total == 1 else 'categories'}"


@dataclass(frozen=True)
class Cell:
    """What a table shows in one place, and how it is marked.

    `best` and `second` are set together, where the best of a row is significantly better than
    the runner-up; `flagged` where a run behind the cell failed or is degenerate.
    """

    text: str
    best: bool = False
    second: bool = False
    flagged: bool = False


@dataclass(frozen=True)
class Row:
    """One row of a table: a cell per method."""

    label: str
    cells: tuple[Cell, ...]


def summarize(results: pd.DataFrame, name: str) -> Summary:
    """Summarize one metric of a tidy table.

    A value that is undefined for one seed leaves its category undefined for that method: a mean
    over the other seeds would compare different things. A metric or a run without a row is
    undefined: the table may be older than the metric.
    """
    categories, methods = (list(results[key].unique()) for key in ("category", "method"))
    part = results[results["metric"] == name]
    values = part.pivot(index=["category", "method"], columns="seed", values="value").reindex(
        index=pd.MultiIndex.from_product([categories, methods], names=["category", "method"]),
        columns=sorted(results["seed"].unique()),
    )
    undefined = set(values.index[values.isna().any(axis=1)].get_level_values("category"))
    averaged = [category for category in categories if category not in undefined]
    per_seed = values.loc[averaged].groupby("method").mean()
    mean, std = (
        _grid(_over_seeds(values, kind), _over_seeds(per_seed, kind), categories, methods)
        for kind in ("mean", "std")
    )
    return Summary(METRICS[name], mean, std, tuple(averaged))


def mean_metrics(results: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the last row of every metric's table: its mean by method, then metric.

    A category counts where every method has a value for every seed. What is undefined, and any
    metric that is not known, is left out.

    Args:
        results: a tidy table, as `results.csv`.
    """
    means: dict[str, dict[str, float]] = {str(name): {} for name in results["method"].unique()}
    found = set(results["metric"])
    for name in (name for name in METRICS if name in found):
        for method, value in summarize(results, name).mean.iloc[-1].dropna().items():
            means[str(method)][name] = float(value)
    return means


def rows_of(summary: Summary, digits: int, marks: Marks = NO_MARKS) -> list[Row]:
    """Return the rows of a metric's table, the best and the runner-up marked where they differ.

    Values equal at `digits` decimals are equally good: neither is best, and several can be
    runner-up, all of which the best must differ from.
    """
    labels = [*summary.categories, summary.mean_label]
    places = [*summary.categories, OVERALL]
    return [
        Row(label, _cells(summary, index, place, digits, marks))
        for index, (label, place) in enumerate(zip(labels, places, strict=True))
    ]


def _over_seeds(values: pd.DataFrame, kind: str) -> pd.Series:
    if kind == "mean":
        return values.mean(axis=1, skipna=False)
    return values.std(axis=1, skipna=False, ddof=1)


def _grid(
    cells: pd.Series, overall: pd.Series, categories: list[str], methods: list[str]
) -> pd.DataFrame:
    rows = cells.unstack("method").reindex(index=categories, columns=methods)
    return pd.concat([rows, overall.reindex(methods).to_frame("mean").T])


def _cells(
    summary: Summary, index: int, category: str, digits: int, marks: Marks
) -> tuple[Cell, ...]:
    means, stds = summary.mean.iloc[index].tolist(), summary.std.iloc[index].tolist()
    shown = {m: round(mean, digits) for m, mean in zip(summary.methods, means, strict=True)}
    best, second = _podium(shown, summary.metric)
    proven = best is not None and all(
        Claim(summary.metric.name, category, best, other) in marks.claims for other in second
    )
    return tuple(
        Cell(
            cell_text(mean, std, digits),
            best=proven and method == best,
            second=proven and method in second,
            flagged=(category, method) in marks.flagged,
        )
        for method, mean, std in zip(summary.methods, means, stds, strict=True)
    )


def _podium(shown: Mapping[str, float], metric: Metric) -> tuple[str | None, list[str]]:
    """Return the one best method, None in a tie, and those that share the next value."""
    defined = {method: value for method, value in shown.items() if not math.isnan(value)}
    levels = sorted(set(defined.values()), reverse=metric.better == "higher")
    if len(levels) < 2 or metric.better is None:
        return None, []
    first, second = ([m for m, value in defined.items() if value == level] for level in levels[:2])
    return (first[0], second) if len(first) == 1 else (None, [])


def cell_text(mean: float, std: float, digits: int) -> str:
    """Return `0.987 ± 0.004`, without the spread where there is none, a dash where undefined."""
    if math.isnan(mean):
        return UNDEFINED
    spread = "" if math.isnan(std) else f" ± {std:.{digits}f}"
    return f"{mean:.{digits}f}{spread}"


def p_text(p: float) -> str:
    """Return `p = 0.034`, `p < 0.001`, or a dash where there is none."""
    if math.isnan(p):
        return UNDEFINED
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


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
