"""The curves of a study as tables; `folder` is results/optimism/<study>."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from clflow.optimism.report import OptimismReport
from clflow.reports import read_report

GAP_COLUMNS = ("category", "method", "seeds", "metric", "last", "best", "gap")
POINT_COLUMNS = ("category", "method", "seed", "step", "metric", "value")


def read_gaps(folder: Path, categories: Sequence[str], methods: Sequence[str]) -> pd.DataFrame:
    """Return last, best and gap of each method, category and metric, as means over seeds.

    Undefined is NaN; a method that was not observed has no row.

    Raises:
        DataError: a file is malformed.
    """
    rows = [
        (report.category, report.method, len(report.seeds), name, *_means(report, name))
        for report in _reports(folder, categories, methods)
        for name in _metric_names(report)
    ]
    numbers = {"seeds": int, "last": float, "best": float, "gap": float}
    return pd.DataFrame(rows, columns=list(GAP_COLUMNS)).astype(numbers)


def read_points(folder: Path, categories: Sequence[str], methods: Sequence[str]) -> pd.DataFrame:
    """Return one row per category, method, seed, step and metric; undefined is NaN.

    Raises:
        DataError: a file is malformed.
    """
    rows = [
        (report.category, report.method, seed, point.step, name, value)
        for report in _reports(folder, categories, methods)
        for seed, curve in report.seeds.items()
        for point in curve.points
        for name, value in point.metrics.items()
    ]
    numbers = {"seed": int, "step": int, "value": float}
    return pd.DataFrame(rows, columns=list(POINT_COLUMNS)).astype(numbers)


def _metric_names(report: OptimismReport) -> list[str]:
    return list(dict.fromkeys(name for curve in report.seeds.values() for name in curve.gap))


def _means(report: OptimismReport, name: str) -> tuple[float, float, float]:
    curves = report.seeds.values()
    # None becomes NaN, and so does a mean over it
    values = np.array([[c.points[-1].metrics[name], c.gap[name]] for c in curves], dtype=float)
    last, gap = values.mean(axis=0).tolist()
    return last, last + gap, gap


def _reports(
    folder: Path, categories: Sequence[str], methods: Sequence[str]
) -> Iterator[OptimismReport]:
    for category in categories:
        for method in methods:
            path = folder / method / f"{category}.json"
            if path.is_file():
                yield read_report(path, OptimismReport, "optimism")
