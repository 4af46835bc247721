"""Paired tests of two methods on the images of one category."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TypeVar

import numpy as np
import pandas as pd

from clflow.statistics.delong import PairedTest, paired_test, placements
from clflow.statistics.influence import Influenced, influence_test
from clflow.tables.comparison import DELONG, JACKKNIFE, Comparison
from clflow.tables.intervals import RESAMPLED
from clflow.tables.scores import INFLUENCED, CategoryScores

UNTESTED = "needs a score of both methods for every image and seed, and two images of each class"
UNTESTED_MAPS = (
    "needs an anomaly map of both methods for every image and seed, and two images of each class, "
    "those of anomalies with masks; `dvc repro` evaluates again what an older version has evaluated"
)

Model = TypeVar("Model")


def category_tests(
    results: pd.DataFrame, scores: Mapping[str, CategoryScores], metric: str
) -> Iterator[Comparison]:
    """Yield a metric's test for each category and pair of methods; none for a metric without."""
    seeds = [int(seed) for seed in results["seed"].unique()]
    methods = [str(method) for method in results["method"].unique()]
    for category in results["category"].unique():
        own = scores[category]
        place = Comparison(results["dataset"].iloc[0], category, metric, "", n=len(own.labels))
        if metric == RESAMPLED:
            yield from _delong(place, own, methods, seeds)
        elif metric in INFLUENCED:
            values = results[(results["category"] == category) & (results["metric"] == metric)]
            means = values.groupby("method")["value"].mean().to_dict()
            yield from _jackknife(place, own, methods, seeds, means)


def _delong(
    place: Comparison, scores: CategoryScores, methods: Sequence[str], seeds: Sequence[int]
) -> Iterator[Comparison]:
    models = {method: scores.models(method, seeds) for method in methods}
    placed = {m: placements(scores.labels, s) for m, s in models.items() if s is not None}
    place = replace(place, test=DELONG, note=UNTESTED)
    yield from _pairs(place, methods, placed, paired_test)


def _jackknife(
    place: Comparison,
    scores: CategoryScores,
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
