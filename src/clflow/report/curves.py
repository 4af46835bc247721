"""What the figures of a category are drawn from: raw image scores, and curves where there are any.

A score folder of before the evaluate stage wrote curves has none: all else is drawn from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clflow.errors import DataError
from clflow.metrics.curves import defect_steps
from clflow.metrics.inputs import image_labels
from clflow.study.paths import curves_name

Rates = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RateCurve:
    """Vertices from (0, 0) to (1, 1), joined by straight lines; neither rate [V] ever falls."""

    fpr: Rates
    hit: Rates

    @property
    def area(self) -> float:
        """The area below the curve."""
        return float(np.trapezoid(self.hit, self.fpr))


def roc_curve(anomalous: NDArray[np.bool_], scores: Rates) -> RateCurve:
    """Return the exact ROC curve of finite image scores [N] of both classes."""
    good, defect = np.sort(scores[~anomalous]), scores[anomalous]
    steps = defect_steps(good, defect, np.ones(len(defect)))
    assert steps is not None, "an ROC curve needs both classes"
    curves = steps.curves()
    return RateCurve(curves.fpr, curves.tpr)


def mean_curve(curves: Sequence[RateCurve]) -> RateCurve:
    """Return the mean hit rate at each false-positive rate; its area is the mean of the areas.

    This is vertical averaging (Fawcett, Pattern Recognition Letters 27, 2006), at all vertices of
    all curves and on both sides of upright pieces, so that nothing is lost between points.
    """
    fpr = np.unique(np.concatenate([curve.fpr for curve in curves]))
    lowest_and_highest = np.mean([_limits(curve, fpr) for curve in curves], axis=0)
    return RateCurve(np.repeat(fpr, 2), lowest_and_highest.ravel())


def _limits(curve: RateCurve, fpr: Rates) -> Rates:
    """Return the lowest and the highest hit rate at each false-positive rate, [F, 2]."""
    between = np.interp(fpr, curve.fpr, curve.hit)
    first = np.searchsorted(curve.fpr, fpr, side="left")
    last = np.searchsorted(curve.fpr, fpr, side="right") - 1
    is_vertex = first <= last
    # a false-positive rate of no vertex lies within a straight piece: one hit rate
    limits = [np.where(is_vertex, curve.hit[place], between) for place in (first, last)]
    return np.stack(limits, axis=1)


_REMEDY = "run `dvc repro`"


@dataclass(frozen=True, eq=False)
class SeedScores:
    """Raw scores of one model: of test images [N], true where anomalous, and of held-out good [M].

    The higher, the more anomalous.
    """

    anomalous: NDArray[np.bool_]
    test: NDArray[np.float64]
    held_out: NDArray[np.float64]

    @property
    def flaw(self) -> str | None:
        """Why nothing can be drawn, None where something can."""
        if not (np.isfinite(self.test).all() and np.isfinite(self.held_out).all()):
            return "scores not finite"
        return None if len(self.test) else "no test images"

    @property
    def only(self) -> str | None:
        """The class of all test images, None where there are both."""
        if self.anomalous.all():
            return "anomalous"
        return None if self.anomalous.any() else "good"

    @property
    def constant(self) -> bool:
        """Whether all test images have the same score."""
        return bool((self.test == self.test[:1]).all())


@dataclass(frozen=True, eq=False)
class MethodScores:
    """A method in its place among those of the study, and what there is of it by seed.

    `regions` has an entry for each seed with a file of pixel curves, None where not defined.
    """

    method: str
    place: int
    seeds: Mapping[int, SeedScores]
    regions: Mapping[int, RateCurve | None]


def read_method(folder: Path, method: str, place: int, seeds: Sequence[int]) -> MethodScores:
    """Read scores/<study>/<method>/<category>; a seed without a file is left out.

    Raises:
        DataError: a file is malformed.
    """
    scores = {seed: folder / f"seed-{seed}.parquet" for seed in seeds}
    curves = {seed: folder / curves_name(seed) for seed in seeds}
    return MethodScores(
        method,
        place,
        {seed: _read_scores(path) for seed, path in scores.items() if path.is_file()},
        {seed: _read_regions(path) for seed, path in curves.items() if path.is_file()},
    )


def left_out(methods: Sequence[MethodScores], seeds: Sequence[int]) -> list[str]:
    """Return in words which seeds of which methods have no scores to draw."""
    absent = {m.method: [seed for seed in seeds if seed not in m.seeds] for m in methods}
    return [
        f"no scores of {method}, seed{'s' if len(own) > 1 else ''} {', '.join(map(str, own))}: "
        "left out of the figures"
        for method, own in absent.items()
        if own
    ]


def _read_scores(path: Path) -> SeedScores:
    table = _read(path, ["split", "label", "score"])
    test = table[table["split"] == "test"]
    held_out = table[table["split"] == "validation"]
    try:
        anomalous = image_labels(test["label"], len(test))
    except DataError as error:
        raise DataError(f"{path}: {error}; {_REMEDY}") from error
    return SeedScores(anomalous, _floats(test["score"]), _floats(held_out["score"]))


def _read_regions(path: Path) -> RateCurve | None:
    table = _read(path, ["fpr", "pro"])
    if table.empty:
        return None
    curve = RateCurve(_floats(table["fpr"]), _floats(table["pro"]))
    for name, rates in (("fpr", curve.fpr), ("pro", curve.hit)):
        if rates[0] != 0 or rates[-1] != 1 or not (np.diff(rates) >= 0).all():
            raise DataError(f"{path}: {name} does not rise from 0 to 1; {_REMEDY}")
    return curve


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    try:
        return pd.read_parquet(path, columns=columns)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"cannot read {path}: {reason}; {_REMEDY}") from error


def _floats(column: "pd.Series[float]") -> NDArray[np.float64]:
    return np.asarray(column, dtype=np.float64)
