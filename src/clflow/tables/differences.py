"""What the summary says about differences between methods, in words and small tables."""

import math

import pandas as pd

from clflow.tables.comparison import BY_CATEGORY, FRIEDMAN, WILCOXON
from clflow.tables.intervals import RESAMPLED
from clflow.tables.metrics import METRICS
from clflow.tables.summary import UNDEFINED


def category_differences(comparisons: pd.DataFrame, digits: int) -> dict[str, pd.DataFrame]:
    """Return by tested metric a row per category and a column per pair: difference and p-value."""
    rows = comparisons[comparisons["test"].isin(BY_CATEGORY)]
    tables = {
        str(metric): _by_pair(own, "category", "Category", digits)
        for metric, own in rows.groupby("metric", sort=False)
        if own["p"].notna().any()
    }
    return {metric: table for metric, table in tables.items() if table is not None}


def difference_lead(metric: str) -> str:
    """Return what a table of differences on categories shows."""
    test = "DeLong's" if metric == RESAMPLED else "the jackknife's"
    return (
        f"{METRICS[metric].title}, with the p-value of {test} paired test, adjusted by Holm for "
        "all tests of this table"
    )


def metric_differences(comparisons: pd.DataFrame, digits: int) -> pd.DataFrame | None:
    """Return a row per metric and a column per pair, of the tests over categories if defined."""
    rows = comparisons[(comparisons["test"] == WILCOXON) & comparisons["p"].notna()]
    table = _by_pair(rows, "metric", "Metric", digits)
    if table is None:
        return None
    return table.assign(Metric=[METRICS[name].title for name in table["Metric"]])


def remarks(comparisons: pd.DataFrame) -> list[str]:
    """Return why tests over categories were not made, and what Friedman's says where it was."""
    over = comparisons[comparisons["test"].isin([WILCOXON, FRIEDMAN])]
    lines = []
    for test, name in ((WILCOXON, "Wilcoxon"), (FRIEDMAN, "Friedman and Nemenyi")):
        own = over[(over["test"] == test) & over["p"].isna()]
        for note, rows in own.groupby("note", sort=False):
            metrics = ", ".join(METRICS[metric].title for metric in dict.fromkeys(rows["metric"]))
            lines.append(f"{name} over categories, {metrics}: {note}.")
    found = over[(over["test"] == FRIEDMAN) & over["p"].notna()]
    return lines + [
        f"Friedman over {row['n']} categories, {METRICS[row['metric']].title}: {p_text(row['p'])}."
        for row in found.to_dict("records")
    ]


def p_text(p: float) -> str:
    """Return `p = 0.034`, `p < 0.001`, or a dash where there is none."""
    if math.isnan(p):
        return UNDEFINED
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _by_pair(rows: pd.DataFrame, index: str, title: str, digits: int) -> pd.DataFrame | None:
    if rows.empty:
        return None
    cells: dict[str, dict[str, str]] = {}
    for row in rows.to_dict("records"):
        pair = f"{row['first']} - {row['second']}"
        cells.setdefault(row[index], {})[pair] = _difference(
            row["difference"], row["p_adjusted"], digits
        )
    table = pd.DataFrame.from_dict(cells, orient="index")
    return table.rename_axis(title).reset_index()


def _difference(difference: float, p: float, digits: int) -> str:
    value = UNDEFINED if math.isnan(difference) else f"{difference:+.{digits}f}"
    return value if math.isnan(p) else f"{value} ({p_text(p)})"
