"""What qualifies a study's numbers: intervals over test images, tests, failed runs, diagnoses."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from clflow.files import digest_of
from clflow.metrics.registry import METRICS, named
from clflow.report.published import Ours
from clflow.report.results import ScoreTable
from clflow.report.settings import TabulateSettings
from clflow.report.summary import OVERALL, RESAMPLED, UNDEFINED, Claim, Marks, Summary, summarize
from clflow.report.tests import BY_CATEGORY, WILCOXON, comparison_table
from clflow.statistics.bootstrap import draw_resamples, percentile_interval, resampled_auroc
from clflow.statistics.delong import Values
from clflow.statistics.proportion import proportion_interval
from clflow.study.runs import RunResult

INTERVAL_COLUMNS = (
    "dataset",
    "category",
    "method",
    "metric",
    "mean",
    "std",
    "low",
    "high",
    "seeds",
)

Samples = dict[tuple[str, str], Values]
Bounds = dict[tuple[str, str], tuple[float, float]]


def interval_table(
    results: pd.DataFrame, scores: Mapping[str, ScoreTable], settings: TabulateSettings
) -> pd.DataFrame:
    """Return a row per metric, category and method, and one of the mean over categories.

    `low` and `high` are of image AUROC, and of the rates that are counted on good test images, by
    category: other metrics are not made of one score per image. The same images are counted for
    all seeds, so the interval of a mean rate is as wide as one of a single seed.
    """
    rows = (
        row
        for name in METRICS
        for row in _interval_rows(results, summarize(results, name), scores, settings)
    )
    return pd.DataFrame(rows, columns=list(INTERVAL_COLUMNS))


def _interval_rows(
    results: pd.DataFrame,
    summary: Summary,
    scores: Mapping[str, ScoreTable],
    settings: TabulateSettings,
) -> Iterator[tuple[object, ...]]:
    dataset, seeds = results["dataset"].iloc[0], [int(seed) for seed in results["seed"].unique()]
    bounds: Bounds = {}
    if summary.metric.name == RESAMPLED:
        samples = _resample(dataset, scores, summary, seeds, settings.resamples)
        bounds = {place: _percentiles(own, settings) for place, own in samples.items()}
    elif summary.metric.name in named("false_alarms"):
        bounds = _counted(scores, summary, settings)
    means, stds = summary.mean.to_numpy(dtype=float), summary.std.to_numpy(dtype=float)
    for row, category in enumerate([*summary.categories, OVERALL]):
        for column, method in enumerate(summary.methods):
            place = (dataset, category, method, summary.metric.name)
            numbers = (means[row, column], stds[row, column])
            yield (
                *place,
                *numbers,
                *bounds.get((category, method), (np.nan, np.nan)),
                len(seeds),
            )


def _resample(
    dataset: str,
    scores: Mapping[str, ScoreTable],
    summary: Summary,
    seeds: Sequence[int],
    count: int,
) -> Samples:
    samples: Samples = {}
    for category in summary.categories:
        own = scores[category]
        draws = draw_resamples(own.labels, count, _generator(dataset, category))
        for method in summary.methods:
            models = own.models(method, seeds)
            if models is not None:
                samples[category, method] = resampled_auroc(own.labels, models, draws)
    for method in summary.methods:
        # The categories are fixed, their images are drawn apart.
        parts = [samples.get((category, method)) for category in summary.averaged]
        found = [part for part in parts if part is not None]
        if found and len(found) == len(parts):
            samples[OVERALL, method] = np.mean(found, axis=0)
    return samples


def _generator(dataset: str, category: str) -> np.random.Generator:
    """Return the generator of a category: other categories of a study do not change its draws."""
    return np.random.default_rng(int(digest_of([dataset, category]), 16))


def _percentiles(sample: Values, settings: TabulateSettings) -> tuple[float, float]:
    interval = percentile_interval(sample, settings.confidence)
    return interval.low, interval.high


def _counted(
    scores: Mapping[str, ScoreTable], summary: Summary, settings: TabulateSettings
) -> Bounds:
    """Return the binomial bounds of the rates of good test images, by category and method."""
    found: Bounds = {}
    for category in summary.categories:
        good = int((scores[category].labels == 0).sum())
        rates = summary.mean.loc[category].to_numpy(dtype=float).tolist()
        for method, rate in zip(summary.methods, rates, strict=True):
            if good and not math.isnan(rate):
                interval = proportion_interval(min(rate, 1.0) * good, good, settings.confidence)
                found[category, method] = (interval.low, interval.high)
    return found


MARK = "†"
CHANCE = 0.5
NO_RESULT = "no result, the run failed or was not made"


@dataclass(frozen=True)
class Flag:
    """What is wrong with the runs of a method on a category."""

    category: str
    method: str
    seeds: tuple[int, ...]
    reason: str

    @property
    def text(self) -> str:
        """Return a note."""
        seeds = f"seed{'s' if len(self.seeds) > 1 else ''} {', '.join(map(str, self.seeds))}"
        return f"{MARK} {self.method} on {self.category}, {seeds}: {self.reason}."


def flags_of(runs: Iterable[RunResult], scores: Mapping[str, ScoreTable]) -> tuple[Flag, ...]:
    """Return the flags of all runs, in their order; seeds with one reason share a flag."""
    return tuple(flag for run in runs for flag in _flags(run, scores[run.category]))


def _flags(run: RunResult, scores: ScoreTable) -> Iterator[Flag]:
    found = sorted(
        (reason, seed) for seed in run.seeds if (reason := _reason(run, seed, scores)) is not None
    )
    for reason, group in groupby(found, key=lambda pair: pair[0]):
        yield Flag(run.category, run.method, tuple(seed for _, seed in group), reason)


def _reason(run: RunResult, seed: int, scores: ScoreTable) -> str | None:
    if seed in run.failed_seeds:
        return run.failures.get(seed, NO_RESULT).rstrip(".")
    values = scores.by_run[run.method, seed]
    if not np.isfinite(values).all():
        return "scores that are NaN or infinite"
    if len(values) > 1 and np.ptp(values) == 0:
        return "the same score for every test image"
    auroc = run.seeds[seed]["image_auroc"]
    if auroc is not None and auroc <= CHANCE:
        return "image AUROC no better than chance"
    return None


@dataclass(frozen=True, eq=False)
class Findings:
    """Tables of intervals and tests, and the flags of failed and degenerate runs."""

    intervals: pd.DataFrame
    comparisons: pd.DataFrame
    flags: tuple[Flag, ...]


def gather_evidence(
    runs: Sequence[RunResult],
    results: pd.DataFrame,
    scores: Mapping[str, ScoreTable],
    settings: TabulateSettings,
) -> Findings:
    """Return intervals, tests and flags of a study from its tidy table and raw scores."""
    return Findings(
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


@dataclass(frozen=True, eq=False)
class Report:
    """A study's runs, its tidy table, what qualifies it, and published values beside it."""

    study: str
    dataset: str
    runs: Sequence[RunResult]
    results: pd.DataFrame
    evidence: Findings
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
    return intervals_of(report, RESAMPLED)


def intervals_of(report: Report, metric: str) -> tuple[Summary, list[list[str]]]:
    """Return the summary of a metric and its cells, without bounds where it has none."""
    summary = summarize(report.results, metric)
    table = report.evidence.intervals
    own = table[table["metric"] == metric]
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
