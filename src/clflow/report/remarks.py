"""What the summary says about published values: a table per metric, and how far they compare."""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clflow.metrics.registry import METRICS
from clflow.report.evidence import MARK, Report
from clflow.report.literature import UNVERIFIED
from clflow.report.settings import TabulateSettings
from clflow.report.summary import OVERALL, RESAMPLED, UNDEFINED, Summary, cell_text, summarize
from clflow.study.runs import RunResult


def protocol_lines(runs: Sequence[RunResult], seeds: Sequence[int]) -> list[str]:
    """Return what the numbers are, then each entry of the protocols of runs that measured."""
    fixed = [
        f"Numbers are fractions, not percentages. Seeds: {', '.join(map(str, seeds))}.",
        "With several seeds a cell is the mean ± sample standard deviation over them. The mean "
        "over categories is unweighted: taken per seed, then summarized over seeds.",
    ]
    measured = [run for run in runs if run.protocol]
    keys = dict.fromkeys(key for run in measured for key in run.protocol)
    return fixed + [f"{words(key)}: {_agreed(measured, key)}." for key in keys]


def count_table(runs: Sequence[RunResult]) -> pd.DataFrame:
    """Return the counts of each category; by method only where methods differ."""
    keys = dict.fromkeys(key for run in runs for key in run.counts)
    rows = []
    for category in dict.fromkeys(run.category for run in runs):
        own = [run for run in runs if run.category == category]
        differ = any(run.counts != own[0].counts for run in own)
        for run in own if differ else own[:1]:
            label = f"{category} ({run.method})" if differ else category
            rows.append([label, *(str(run.counts.get(key, UNDEFINED)) for key in keys)])
    return pd.DataFrame(rows, columns=["Category", *map(words, keys)])


def evidence_lines(report: Report) -> list[str]:
    """Return how intervals, tests and marks are made."""
    settings = report.settings
    return [
        f"Intervals: {100 * settings.confidence:g} % percentile bootstrap of the mean image AUROC "
        f"over seeds, {settings.resamples} resamples of the test images within good and anomalous, "
        "the same for all methods and seeds. They are about other test images, not about other "
        "seeds or categories.",
        "Marks: best and runner-up of a row are marked where the adjusted p-value is below "
        f"{settings.significance:g}. On a category this is DeLong's paired test of image AUROC, "
        "of pixel AUROC and AUPRO a paired test by the influence of each image (infinitesimal "
        "jackknife), averaged over seeds, adjusted by Holm for all categories and pairs of the "
        "metric; for a mean it is Wilcoxon's signed-rank test over categories, adjusted by Holm "
        "for all pairs. What is not tested is not marked: other metrics on a category never are.",
    ]


def notes(report: Report, summaries: Iterable[Summary]) -> list[str]:
    """Return what qualifies the metrics that are shown, failed and degenerate runs first."""
    flags = [flag.text for flag in report.evidence.flags]
    single = ["Only one seed was run: there is no standard deviation."]
    undefined = (note for summary in summaries if (note := _undefined(summary)))
    return [
        *flags,
        *(single if len(report.seeds) == 1 else []),
        *_failed(report),
        *_methods(report.runs),
        *_separated(report.evidence.intervals),
        *_unmarked([run for run in report.runs if run.counts]),
        *undefined,
    ]


def _failed(report: Report) -> list[str]:
    if not any(run.failed_seeds for run in report.runs):
        return []
    partial = [run for run in report.runs if run.failed_seeds and run.whole_seeds]
    return [
        *(_remaining(run, report.settings) for run in partial),
        "A run without a value counts as the worst in tests over categories.",
    ]


def _remaining(run: RunResult, settings: TabulateSettings) -> str:
    """Return the means over the seeds that did not fail: a cell would pass them off as complete."""
    rows = [run.seeds[seed] for seed in run.whole_seeds]
    columns = {
        name: np.array([row[name] for row in rows], dtype=float) for name in settings.metrics
    }
    means = [
        f"{METRICS[name].title} {_mean_text(values, settings.digits)}"
        for name, values in columns.items()
        if np.isfinite(values).all()
    ]
    seeds = f"seed{'s' if len(rows) > 1 else ''} {', '.join(map(str, run.whole_seeds))}"
    return (
        f"{MARK} {run.method} on {run.category}, {seeds} alone: "
        f"{', '.join(means) or 'nothing defined'}. "
        "Its cells stay empty: a mean without the failed seed would compare different things."
    )


def _mean_text(values: NDArray[np.float64], digits: int) -> str:
    deviation = float(values.std(ddof=1)) if len(values) > 1 else np.nan
    return cell_text(float(values.mean()), deviation, digits)


def _methods(runs: Sequence[RunResult]) -> list[str]:
    lines: dict[tuple[str, str], list[str]] = {}
    for run in runs:
        if run.notes:
            lines.setdefault((run.method, run.notes.strip(" .")), []).append(run.category)
    told = [method for method, _ in lines]
    return [
        f"{_place(method, own) if told.count(method) > 1 else method}: {text}."
        for (method, text), own in lines.items()
    ]


def _place(method: str, categories: Sequence[str]) -> str:
    return f"{method} on {', '.join(categories)}"


def _separated(intervals: pd.DataFrame) -> list[str]:
    own = intervals[(intervals["metric"] == RESAMPLED) & (intervals["category"] != OVERALL)]
    found = own[(own["low"] == 1) & (own["high"] == 1)]
    if found.empty:
        return []
    names = (
        f"{method} on {category}"
        for category, method in zip(found["category"], found["method"], strict=True)
    )
    return [
        f"All test images are told apart by {', '.join(names)}: an interval without width, which "
        "does not say that other images would be."
    ]


def _unmarked(runs: Sequence[RunResult]) -> list[str]:
    counts = {run.category: run.counts for run in runs}
    return [
        f"{category}: {unmarked} of {own.get('test_anomalous', 0)} anomalous test images have no "
        "marked pixel and are left out of pixel metrics."
        for category, own in counts.items()
        if (unmarked := own.get("test_without_mask", 0))
    ]


def _undefined(summary: Summary) -> str | None:
    undefined = [each for each in summary.categories if each not in summary.averaged]
    if not undefined:
        return None
    last = f"its last row is the {summary.mean_label}" if summary.averaged else "it has no mean"
    return (
        f"{summary.metric.title} is undefined for at least one method and seed on "
        f"{', '.join(undefined)}; {last}."
    )


# what a rule is where a protocol leaves it out
_UNSTATED = {"ignored": "nothing"}


def _agreed(runs: Sequence[RunResult], key: str) -> str:
    by_value: dict[str, list[RunResult]] = {}
    for run in runs:
        value = run.protocol.get(key, _UNSTATED.get(key, "not stated"))
        by_value.setdefault(value, []).append(run)
    if len(by_value) == 1:
        return next(iter(by_value))
    return "; ".join(f"{value} ({_names(own, runs)})" for value, own in by_value.items())


def _names(own: Sequence[RunResult], runs: Sequence[RunResult]) -> str:
    methods = dict.fromkeys(run.method for run in own)
    if sum(run.method in methods for run in runs) == len(own):
        return ", ".join(methods)
    return ", ".join(f"{run.method} on {run.category}" for run in own)


def words(key: str) -> str:
    """Return a key as the start of a sentence."""
    text = key.replace("_", " ")
    return text[:1].upper() + text[1:]


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
