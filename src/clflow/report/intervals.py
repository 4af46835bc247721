"""The table of means, deviations over seeds and bootstrap intervals over test images."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from clflow.files import digest_of
from clflow.metrics.registry import METRICS
from clflow.report.scores import ScoreTable
from clflow.report.settings import TabulateSettings
from clflow.report.summary import OVERALL, Summary, summarize
from clflow.statistics.bootstrap import draw_resamples, percentile_interval, resampled_auroc
from clflow.statistics.delong import Values

COLUMNS = ("dataset", "category", "method", "metric", "mean", "std", "low", "high", "seeds")
RESAMPLED = "image_auroc"

Samples = dict[tuple[str, str], Values]


def interval_table(
    results: pd.DataFrame, scores: Mapping[str, ScoreTable], settings: TabulateSettings
) -> pd.DataFrame:
    """Return a row per metric, category and method, and one of the mean over categories.

    `low` and `high` are of image AUROC alone: other metrics are not made of one score per image.
    """
    rows = (
        row
        for name in METRICS
        for row in _rows(results, summarize(results, name), scores, settings)
    )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(
    results: pd.DataFrame,
    summary: Summary,
    scores: Mapping[str, ScoreTable],
    settings: TabulateSettings,
) -> Iterator[tuple[object, ...]]:
    dataset, seeds = results["dataset"].iloc[0], [int(seed) for seed in results["seed"].unique()]
    samples: Samples = {}
    if summary.metric.name == RESAMPLED:
        samples = _resample(dataset, scores, summary, seeds, settings.resamples)
    means, stds = summary.mean.to_numpy(dtype=float), summary.std.to_numpy(dtype=float)
    for row, category in enumerate([*summary.categories, OVERALL]):
        for column, method in enumerate(summary.methods):
            place = (dataset, category, method, summary.metric.name)
            numbers = (means[row, column], stds[row, column])
            yield (
                *place,
                *numbers,
                *_bounds(samples.get((category, method)), settings),
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


def _bounds(sample: Values | None, settings: TabulateSettings) -> tuple[float, float]:
    if sample is None:
        return np.nan, np.nan
    interval = percentile_interval(sample, settings.confidence)
    return interval.low, interval.high
