"""Curves of a hit rate over the false-positive rate, and their mean over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clflow.metrics.curves import defect_steps

Rates = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    """Vertices from (0, 0) to (1, 1), joined by straight lines; neither rate [V] ever falls."""

    fpr: Rates
    hit: Rates

    @property
    def area(self) -> float:
        """The area below the curve."""
        return float(np.trapezoid(self.hit, self.fpr))


def roc_curve(anomalous: NDArray[np.bool_], scores: Rates) -> Curve:
    """Return the exact ROC curve of finite image scores [N] of both classes."""
    good, defect = np.sort(scores[~anomalous]), scores[anomalous]
    steps = defect_steps(good, defect, np.ones(len(defect)))
    assert steps is not None, "an ROC curve needs both classes"
    curves = steps.curves()
    return Curve(curves.fpr, curves.tpr)


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """Return the mean hit rate at each false-positive rate; its area is the mean of the areas.

    This is vertical averaging (Fawcett, Pattern Recognition Letters 27, 2006), at all vertices of
    all curves and on both sides of upright pieces, so that nothing is lost between points.
    """
    fpr = np.unique(np.concatenate([curve.fpr for curve in curves]))
    lowest_and_highest = np.mean([_limits(curve, fpr) for curve in curves], axis=0)
    return Curve(np.repeat(fpr, 2), lowest_and_highest.ravel())


def _limits(curve: Curve, fpr: Rates) -> Rates:
    """Return the lowest and the highest hit rate at each false-positive rate, [F, 2]."""
    between = np.interp(fpr, curve.fpr, curve.hit)
    first = np.searchsorted(curve.fpr, fpr, side="left")
    last = np.searchsorted(curve.fpr, fpr, side="right") - 1
    is_vertex = first <= last
    # a false-positive rate of no vertex lies within a straight piece: one hit rate
    limits = [np.where(is_vertex, curve.hit[place], between) for place in (first, last)]
    return np.stack(limits, axis=1)
