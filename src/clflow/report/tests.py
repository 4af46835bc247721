"""The table of tests between methods: on the images of each category, and over categories."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import combinations
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clflow.errors import DataError
from clflow.metrics.registry import METRICS, named
from clflow.report.results import ScoreTable
from clflow.report.settings import TabulateSettings
from clflow.report.summary import OVERALL, RESAMPLED, Summary, summarize
from clflow.statistics.comparison import (
    Nemenyi,
    friedman,
    holm,
    nemenyi,
    pairs_needed,
    signed_rank,
    smallest_p,
)
from clflow.statistics.delong import Influenced, PairedTest, influence_test, paired_test, placements

DELONG, JACKKNIFE = "delong", "jackknife"
WILCOXON, FRIEDMAN, NEMENYI = "wilcoxon", "friedman", "nemenyi"
# tests of one category, on its images
BY_CATEGORY = (DELONG, JACKKNIFE)


@dataclass(frozen=True)
class Comparison:
    """One test; `difference` is the first method's value minus the second's, `n` what was counted.

    An empty category is the test over categories, empty methods are all of them. `p_adjusted` is
    Holm's, or Nemenyi's own; NaN, with a note, where a test is not defined. `better` is the method
    that a significant test says is better, which need not be the one with the better mean.
    """

    dataset: str
    category: str
    metric: str
    test: str
    first: str = ""
    second: str = ""
    difference: float = np.nan
    statistic: float = np.nan
    p: float = np.nan
    p_adjusted: float = np.nan
    significant: bool = False
    better: str = ""
    n: int = 0
    note: str = ""


UNTESTED = "needs a score of both methods for every image and seed, and two images of each class"
UNTESTED_MAPS = (
    "needs an anomaly map of both methods for every image and seed, and two images of each class, "
    "those of anomalies with masks; `dvc repro` evaluates again what an older version has evaluated"
)

Model = TypeVar("Model")


def category_tests(
    results: pd.DataFrame, scores: Mapping[str, ScoreTable], metric: str
) -> Iterator[Comparison]:
    """Yield a metric's test for each category and pair of methods; none for a metric without."""
    seeds = [int(seed) for seed in results["seed"].unique()]
    methods = [str(method) for method in results["method"].unique()]
    for category in results["category"].unique():
        own = scores[category]
        place = Comparison(results["dataset"].iloc[0], category, metric, "", n=len(own.labels))
        if metric == RESAMPLED:
            yield from _delong(place, own, methods, seeds)
        elif metric in named("influence"):
            values = results[(results["category"] == category) & (results["metric"] == metric)]
            means = values.groupby("method")["value"].mean().to_dict()
            yield from _jackknife(place, own, methods, seeds, means)


def _delong(
    place: Comparison, scores: ScoreTable, methods: Sequence[str], seeds: Sequence[int]
) -> Iterator[Comparison]:
    models = {method: scores.models(method, seeds) for method in methods}
    placed = {m: placements(scores.labels, s) for m, s in models.items() if s is not None}
    place = replace(place, test=DELONG, note=UNTESTED)
    yield from _pairs(place, methods, placed, paired_test)


def _jackknife(
    place: Comparison,
    scores: ScoreTable,
    methods: Sequence[str],
    seeds: Sequence[int],
    means: Mapping[str, float],
) -> Iterator[Comparison]:
    models = {method: scores.influences(method, place.metric, seeds) for method in methods}
    known = {method: own for method, own in models.items() if own is not None}
    # which images have a map and a mask is a matter of the data set
    shared = np.sum(list(known.values()), axis=0) if known else np.full(len(scores.labels), np.nan)
    measured = np.isfinite(shared)
    found = {m: Influenced(means[m], own[measured]) for m, own in known.items()}
    anomalous = scores.labels.astype(bool)[measured]

    def test(first: Influenced, second: Influenced) -> PairedTest:
        return influence_test(anomalous, first, second)

    place = replace(place, test=JACKKNIFE, note=UNTESTED_MAPS, n=int(np.count_nonzero(measured)))
    yield from _pairs(place, methods, found, test)


def _pairs(
    place: Comparison,
    methods: Sequence[str],
    models: Mapping[str, Model],
    test: Callable[[Model, Model], PairedTest],
) -> Iterator[Comparison]:
    """Yield the test of each pair, with the note of `place` where there is none."""
    for first, second in combinations(methods, 2):
        row = replace(place, first=first, second=second)
        if first in models and second in models:
            found = test(models[first], models[second])
            better = first if found.difference > 0 else second
            row = replace(row, **vars(found), better=better)
        yield row if np.isnan(row.p) else replace(row, note="")


_TEXTS = ("dataset", "category", "metric", "test", "first", "second", "better", "note")
_NUMBERS = ("difference", "statistic", "p", "p_adjusted")
MINIMUM_METHODS = 3
MINIMUM_CATEGORIES = 5


def comparison_table(
    results: pd.DataFrame, scores: Mapping[str, ScoreTable], settings: TabulateSettings
) -> pd.DataFrame:
    """Return the tests of each category and pair, and those over categories, of each metric.

    On a category image AUROC has DeLong's test, other metrics the one by influence, if they have
    any. Holm adjusts over all categories and pairs of a metric, and over the pairs of its Wilcoxon
    tests.
    """
    rows: list[Comparison] = []
    for name in settings.metrics:
        found = list(category_tests(results, scores, name))
        rows += _adjusted(found, settings.significance)
        if METRICS[name].better is not None:
            dataset = results["dataset"].iloc[0]
            rows += over_categories(dataset, summarize(results, name), settings.significance)
    columns = [field.name for field in fields(Comparison)]
    return pd.DataFrame([tuple(vars(row).values()) for row in rows], columns=columns)


def load_comparisons(path: Path) -> pd.DataFrame:
    """Read the table of tests back from its CSV file.

    Raises:
        DataError: the file is missing or is no such table.
    """
    try:
        # A category called "01" or "NA" is a name.
        table = pd.read_csv(
            path,
            dtype=dict.fromkeys(_TEXTS, str),
            na_values={name: [""] for name in _NUMBERS},
            keep_default_na=False,
        )
        return table[[field.name for field in fields(Comparison)]]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"cannot read tests from {path}: {error}; run `dvc repro`") from error


def category_values(summary: Summary) -> NDArray[np.float64]:
    """Return values [categories, methods] to rank, larger is better, `-inf` for a failed run.

    Categories on which no method has a value are left out.
    """
    values = summary.mean.iloc[:-1].to_numpy(dtype=float)
    signed = -values if summary.metric.better == "lower" else values
    undefined = np.isnan(signed)
    return np.where(undefined, -np.inf, signed)[~undefined.all(axis=1)]


def over_categories(dataset: str, summary: Summary, significance: float) -> list[Comparison]:
    """Return the tests of one metric over categories: Wilcoxon by pair, Friedman, Nemenyi."""
    values = category_values(summary)
    rows = _adjusted(list(_wilcoxon(dataset, summary, values, significance)), significance)
    return rows + _ranked(dataset, summary, values, significance)


def rankable(values: NDArray[np.float64]) -> bool:
    """Return whether there are enough methods and categories to compare mean ranks."""
    categories, methods = values.shape
    return methods >= MINIMUM_METHODS and categories >= MINIMUM_CATEGORIES


def _wilcoxon(
    dataset: str, summary: Summary, values: NDArray[np.float64], significance: float
) -> Iterator[Comparison]:
    pairs = list(combinations(range(len(summary.methods)), 2))
    sign = -1 if summary.metric.better == "lower" else 1
    note = _too_few(len(values), len(pairs), significance)
    for i, j in pairs:
        first, second = summary.methods[i], summary.methods[j]
        row = Comparison(dataset, OVERALL, summary.metric.name, WILCOXON, first, second, note=note)
        row = replace(row, n=len(values))
        if len(values) and np.isfinite(values[:, [i, j]]).all():
            row = replace(row, difference=sign * float((values[:, i] - values[:, j]).mean()))
        if not note:
            test = signed_rank(values[:, i], values[:, j])
            better = first if test.higher > test.lower else second
            row = replace(row, statistic=min(test.higher, test.lower), p=test.p, better=better)
        yield row


def _too_few(categories: int, pairs: int, significance: float) -> str:
    if pairs and smallest_p(categories, pairs) >= significance:
        needed = pairs_needed(significance, pairs)
        return f"no difference can be significant below {needed} categories; there are {categories}"
    return ""


def _ranked(
    dataset: str, summary: Summary, values: NDArray[np.float64], significance: float
) -> list[Comparison]:
    methods, place = summary.methods, (dataset, OVERALL, summary.metric.name)
    if len(methods) < 2:
        return []
    if not rankable(values):
        note = (
            f"needs {MINIMUM_METHODS} methods and {MINIMUM_CATEGORIES} categories; there are "
            f"{len(methods)} and {len(values)}"
        )
        return [Comparison(*place, FRIEDMAN, n=len(values), note=note)]
    overall = friedman(values)
    row = Comparison(*place, FRIEDMAN, statistic=overall.statistic, p=overall.p, n=len(values))
    judged = _judged(replace(row, note="chi-square approximation"), overall.p, significance)
    # Nemenyi's test is for telling methods apart once Friedman's says that they are not all alike.
    threshold = significance if judged.significant else 0.0
    found = _nemenyi(place, methods, nemenyi(values, significance), len(values))
    return [judged, *(_judged(each, each.p, threshold) for each in found)]


def _nemenyi(
    place: tuple[str, str, str], methods: Sequence[str], test: Nemenyi, categories: int
) -> Iterator[Comparison]:
    note = f"difference of mean ranks; critical difference {test.critical_difference:.3f}"
    for i, j in combinations(range(len(methods)), 2):
        difference = float(test.mean_ranks[i] - test.mean_ranks[j])
        row = Comparison(*place, NEMENYI, methods[i], methods[j], difference, n=categories)
        better = methods[i if difference < 0 else j]
        yield replace(row, p=float(test.p[i, j]), better=better, note=note)


def _adjusted(rows: Sequence[Comparison], significance: float) -> list[Comparison]:
    adjusted = holm([row.p for row in rows]).tolist()
    return [_judged(row, p, significance) for row, p in zip(rows, adjusted, strict=True)]


def _judged(row: Comparison, p: float, significance: float) -> Comparison:
    """Return a row with its adjusted p-value; `better` stays only where it is significant."""
    significant = p < significance
    return replace(
        row, p_adjusted=p, significant=significant, better=row.better if significant else ""
    )
