"""Detection curves of good against defect scores, exact, with ties.

The threshold falls from the highest score to the lowest. A curve rises only where it passes a
defect score and runs level in between, so one row per distinct defect score describes all of it.
The many good scores need a plain sort and no labels carried along.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clflow.errors import SettingsError

Counts = NDArray[np.int64]
Rates = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DefectSteps:
    """Counts at each distinct defect score, from the highest to the lowest.

    Attributes:
        levels: the scores themselves, [U].
        true_positives: defect scores at or above it, [U].
        overlap: weight of the defect scores at or above it over the weight of all, [U].
        good_above: good scores above it, [U].
        good_from: good scores at or above it, [U]; more than `good_above` where there is a tie.
        good_total: all good scores.
    """

    levels: NDArray[np.floating]
    true_positives: Counts
    overlap: Rates
    good_above: Counts
    good_from: Counts
    good_total: int

    @property
    def defect_total(self) -> int:
        """All defect scores."""
        return int(self.true_positives[-1])

    def auroc(self) -> float:
        """Return the probability that a defect score is above a good one, ties counted half."""
        hits = np.diff(self.true_positives, prepend=0)
        not_above = 2 * self.good_total - self.good_above - self.good_from
        return int(hits @ not_above) / (2 * self.good_total * self.defect_total)

    def average_precision(self) -> float:
        """Return the sum of recall gain times precision, as scikit-learn defines it."""
        hits = np.diff(self.true_positives, prepend=0)
        precision = self.true_positives / (self.true_positives + self.good_from)
        return float(hits @ precision) / self.defect_total

    def f1_max(self) -> float:
        """Return the best F1 over all thresholds: an oracle, since it is chosen with the labels."""
        flagged = self.true_positives + self.good_from
        return float(np.max(2 * self.true_positives / (flagged + self.defect_total)))

    def curves(self) -> "PixelCurves":
        """Return the vertices of the ROC and PRO curves, [2U + 2]."""
        false = np.empty(2 * len(self.good_above) + 2, dtype=np.float64)
        false[0], false[-1] = 0, self.good_total
        false[1:-1:2], false[2:-1:2] = self.good_above, self.good_from
        return PixelCurves(
            fpr=false / self.good_total,
            tpr=_before_and_after(self.true_positives / self.defect_total),
            pro=_before_and_after(self.overlap),
        )


@dataclass(frozen=True, eq=False)
class PixelCurves:
    """Vertices of the ROC (fpr, tpr) and PRO (fpr, pro) curves from (0, 0) to (1, 1), each [V].

    Vertices are joined by straight lines: upright at a defect score, slanted where good scores tie
    with it, level elsewhere.
    """

    fpr: Rates
    tpr: Rates
    pro: Rates

    def aupro(self, limit: float) -> float:
        """Return the area under the PRO curve for FPR in [0, limit], divided by `limit`.

        The curve is cut at the limit by linear interpolation (Bergmann et al., IJCV 2021).

        Raises:
            SettingsError: the limit is outside (0, 1].
        """
        require_limit(limit)
        end = int(np.searchsorted(self.fpr, limit, side="left"))
        fpr, pro = self.fpr[end - 1 : end + 1], self.pro[end - 1 : end + 1]
        slope = (pro[1] - pro[0]) / (fpr[1] - fpr[0])
        rest = (limit - fpr[0]) * (pro[0] + slope * (limit - fpr[0]) / 2)
        return float(np.trapezoid(self.pro[:end], self.fpr[:end]) + rest) / limit

    def thinned(self, points: int) -> "PixelCurves":
        """Return at most `points` of the vertices, both ends kept, spread evenly along the curves.

        No vertex is moved, and a dropped one lies within 3 / (points - 1) of a kept one.

        Raises:
            SettingsError: fewer than 2 points.
        """
        if points < 2:
            raise SettingsError(f"cannot draw curves with points = {points}; ask for 2 or more")
        if len(self.fpr) <= points:
            return self
        length = self.fpr + self.tpr + self.pro
        keep = np.unique(np.searchsorted(length, np.linspace(0, length[-1], points)))
        return PixelCurves(self.fpr[keep], self.tpr[keep], self.pro[keep])


def require_limit(limit: float) -> None:
    """Raise SettingsError when a false-positive-rate limit is outside (0, 1]."""
    if not 0 < limit <= 1:
        raise SettingsError(
            f"AUPRO limit {limit} is not a false-positive rate; use one in (0, 1], such as 0.3"
        )


def defect_steps(
    good: NDArray[np.floating], defect: NDArray[np.floating], weight: Rates
) -> DefectSteps | None:
    """Return the steps of the curves, or None without a good or without a defect score.

    `good` [G] is sorted upwards; `defect` [D] is in any order, with `weight` [D] for the overlap.
    """
    if not len(good) or not len(defect):
        return None
    order = np.argsort(defect)[::-1]
    ranked = defect[order]
    # A threshold takes a run of equal scores whole or not at all.
    last_of_run = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    levels = ranked[last_of_run]
    overlap = np.cumsum(weight[order])
    below, not_above = _counts(good, levels)
    return DefectSteps(
        levels=levels,
        true_positives=last_of_run + 1,
        overlap=overlap[last_of_run] / overlap[-1],
        good_above=len(good) - not_above,
        good_from=len(good) - below,
        good_total=len(good),
    )


def _counts(good: NDArray[np.floating], levels: NDArray[np.floating]) -> tuple[Counts, Counts]:
    """Return how many of the sorted scores are below each level, and how many not above it."""
    below = np.searchsorted(good, levels, side="left")
    not_above = below.copy()
    # the second search is only needed where scores tie, mostly nowhere
    tied = np.flatnonzero(good[np.minimum(below, len(good) - 1)] == levels)
    not_above[tied] = np.searchsorted(good, levels[tied], side="right")
    return below, not_above


def _before_and_after(rates: Rates) -> Rates:
    return np.repeat(np.concatenate([[0.0], rates]), 2)
