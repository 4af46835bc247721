"""The curves of a study as tables; `folder` is results/selection_bias/<study>."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, FiniteFloat, PositiveInt

from clflow.files import read_report

Measured = Mapping[str, float | None]


class CurvePoint(BaseModel):
    """Metrics by name after a number of training steps, None where undefined."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: PositiveInt
    metrics: dict[str, FiniteFloat | None]


class TrainingCurve(BaseModel):
    """The points of one seed, in the order of training, and the gap of each metric."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    points: tuple[CurvePoint, ...]
    gap: dict[str, FiniteFloat | None]


class SelectionBiasReport(BaseModel):
    """Curves by seed; protocol and digests say how and of what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    study: str
    dataset: str
    category: str
    method: str
    protocol: dict[str, str]
    digests: dict[str, str]
    seeds: dict[int, TrainingCurve]


def gaps(points: Sequence[CurvePoint], names: Iterable[str]) -> dict[str, float | None]:
    """Return for each metric the best of its values minus the last one: never negative.

    None where a value is not defined.
    """
    return {name: _gap([point.metrics[name] for point in points]) for name in names}


def _gap(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) - known[-1] if known and len(known) == len(values) else None


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


def _metric_names(report: SelectionBiasReport) -> list[str]:
    return list(dict.fromkeys(name for curve in report.seeds.values() for name in curve.gap))


def _means(report: SelectionBiasReport, name: str) -> tuple[float, float, float]:
    curves = report.seeds.values()
    # None becomes NaN, and so does a mean over it
    values = np.array([[c.points[-1].metrics[name], c.gap[name]] for c in curves], dtype=float)
    last, gap = values.mean(axis=0).tolist()
    return last, last + gap, gap


def _reports(
    folder: Path, categories: Sequence[str], methods: Sequence[str]
) -> Iterator[SelectionBiasReport]:
    for category in categories:
        for method in methods:
            path = folder / method / f"{category}.json"
            if path.is_file():
                yield read_report(path, SelectionBiasReport, "selection_bias")
