"""What the summary says about published values: a table per metric, and how far they compare."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from clflow.tables.flags import MARK
from clflow.tables.literature import UNVERIFIED
from clflow.tables.metrics import METRICS
from clflow.tables.report import Report
from clflow.tables.summary import OVERALL, UNDEFINED, cell_text, summarize

TITLE = "Beside published values"
LEAD = (
    "Ours with the difference, ours minus published, in parentheses. Others' values are not made "
    "under our protocol, and no test is made: read with them what is said below. "
    f"{UNVERIFIED} marks a value that was not seen in its own source but is quoted or recalled."
)
SHOWN_CATEGORIES = 5
_KEYS = ["category", "published", "entry"]


@dataclass(frozen=True)
class BesideTable:
    """The published values of a metric and ours, one row per category and published value."""

    metric: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def beside_tables(report: Report) -> list[BesideTable]:
    """Return the tables of the metrics that the summary shows and that have published values.

    With more than `SHOWN_CATEGORIES` categories only the means; published.csv has all of them.
    """
    found = (_table(report, name) for name in report.settings.metrics)
    return [table for table in found if table.rows]


def remarks(report: Report) -> list[str]:
    """Return what is ours, then for each published value that is shown how it was made."""
    table = _shown(report, report.published)
    if table.empty:
        return []
    setups = {method: setup.text for method, setup in report.ours.setups.items()}
    count = len(_categories(report))
    left_out = [f"The values of all {count} categories are in `published.csv`."]
    return [
        f"Ours: {_by_method(setups)}; last training step.",
        *(left_out if _means_only(report) else []),
        *(_remark(label, own) for label, own in table.groupby("published", sort=False)),
    ]


def _table(report: Report, name: str) -> BesideTable:
    shown = _shown(report, report.published)
    own = shown[shown["metric"] == name]
    methods = tuple(report.ours.setups)
    mean_label = summarize(report.results, name).mean_label
    rows = tuple(_row(rows, mean_label, report) for _, rows in own.groupby(_KEYS, sort=False))
    return BesideTable(
        name, METRICS[name].title, ("Category", "Published", "Value", *methods), rows
    )


def _row(rows: pd.DataFrame, mean_label: str, report: Report) -> tuple[str, ...]:
    digits, first = report.settings.digits, rows.iloc[0]
    value = cell_text(first["published_value"], first["published_std"], digits)
    mark = "" if first["verified"] else f" {UNVERIFIED}"
    cells = (_cell(row, report) for row in rows.to_dict("records"))
    return (first["category"] or mean_label, first["published"], value + mark, *cells)


def _cell(row: Mapping[Hashable, Any], report: Report) -> str:
    digits = report.settings.digits
    text = cell_text(row["value"], row["std"], digits)
    if not math.isnan(row["value"]):
        text += f" ({row['difference']:+.{digits}f})"
    flagged = (row["category"], row["method"]) in report.marks.flagged
    return f"{text} {MARK}" if flagged else text


def _remark(label: object, own: pd.DataFrame) -> str:
    by_method = dict(zip(own["method"], own["reason"], strict=True))
    why = {m: f"not comparable: {r}" if r else "comparable" for m, r in by_method.items()}
    mark = "" if own["verified"].all() else f"{UNVERIFIED} "
    sources, seen = (" / ".join(own[name].unique()) for name in ("source", "seen_verbatim"))
    return f"{mark}{label}: {_by_method(why)}. Source: {sources}; seen there: {seen}."


def _by_method(texts: dict[str, str]) -> str:
    distinct: dict[str, list[str]] = {}
    for method, text in texts.items():
        distinct.setdefault(text, []).append(method)
    if len(distinct) == 1:
        return next(iter(distinct), UNDEFINED)
    return "; ".join(f"{text} ({', '.join(methods)})" for text, methods in distinct.items())


def _shown(report: Report, table: pd.DataFrame) -> pd.DataFrame:
    table = table[table["metric"].isin(report.settings.metrics)]
    return table[table["category"] == OVERALL] if _means_only(report) else table


def _means_only(report: Report) -> bool:
    return len(_categories(report)) > SHOWN_CATEGORIES


def _categories(report: Report) -> Sequence[str]:
    return list(report.results["category"].unique())
