"""From the tidy table to the cells of a summary: mean and spread over seeds, means, the best."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from clflow.tables.metrics import METRICS, Metric

UNDEFINED = "–"


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
    """What a table shows in one place, and whether it is the best of its row."""

    text: str
    best: bool


@dataclass(frozen=True)
class Row:
    """One row of a table: a cell per method."""

    label: str
    cells: tuple[Cell, ...]


def summarize(results: pd.DataFrame, name: str) -> Summary:
    """Summarize one metric of a tidy table.

    A value that is undefined for one seed leaves its category undefined for that method: a mean
    over the other seeds would compare different things.
    """
    part = results[results["metric"] == name]
    categories, methods = list(part["category"].unique()), list(part["method"].unique())
    values = part.pivot(index=["category", "method"], columns="seed", values="value")
    undefined = set(part.loc[part["value"].isna(), "category"])
    averaged = [category for category in categories if category not in undefined]
    per_seed = values.loc[averaged].groupby("method").mean()
    mean, std = (
        _grid(_over_seeds(values, kind), _over_seeds(per_seed, kind), categories, methods)
        for kind in ("mean", "std")
    )
    return Summary(METRICS[name], mean, std, tuple(averaged))


def rows_of(summary: Summary, digits: int) -> list[Row]:
    """Return the rows of a metric's table; values equal at `digits` decimals are equally good."""
    labels = [*summary.categories, summary.mean_label]
    means, stds = summary.mean.to_numpy(), summary.std.to_numpy()
    return [
        _row(label, mean.tolist(), std.tolist(), summary.metric, digits)
        for label, mean, std in zip(labels, means, stds, strict=True)
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


def _row(
    label: str, means: Sequence[float], stds: Sequence[float], metric: Metric, digits: int
) -> Row:
    shown = [round(mean, digits) for mean in means]
    best = _best(shown, metric)
    texts = [cell_text(mean, std, digits) for mean, std in zip(means, stds, strict=True)]
    return Row(label, tuple(Cell(t, v == best) for t, v in zip(texts, shown, strict=True)))


def _best(values: Sequence[float], metric: Metric) -> float | None:
    defined = [value for value in values if not math.isnan(value)]
    # Alone, a method is not the best of anything.
    if len(defined) < 2 or metric.better is None:
        return None
    return max(defined) if metric.better == "higher" else min(defined)


def cell_text(mean: float, std: float, digits: int) -> str:
    """Return `0.987 ± 0.004`, without the spread where there is none, a dash where undefined."""
    if math.isnan(mean):
        return UNDEFINED
    spread = "" if math.isnan(std) else f" ± {std:.{digits}f}"
    return f"{mean:.{digits}f}{spread}"
