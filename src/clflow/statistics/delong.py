"""Paired test of any metric of whole test sets whose influence by image is known.

The variance of the difference of two methods is that of the images' differences of influence, good
and anomalous images apart, as many of each in every test set (the infinitesimal jackknife; Efron,
The Jackknife, the Bootstrap and Other Resampling Plans, 1982, ch. 6). Of image AUROC this is
DeLong's test. Like that, it is about new test images for the models at hand, not about new seeds.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, rankdata

from clflow.errors import DataError
from clflow.metrics.inputs import image_labels, require_finite

Values = NDArray[np.float64]

# Placements are multiples of 1 / (2 x images x models): what is nearer to zero than these is zero.
_ZERO_DIFFERENCE = 1e-12
_ZERO_VARIANCE = 1e-24


@dataclass(frozen=True, eq=False)
class Placements:
    """For each image the share of the other class on the right side of it, mean over models.

    `anomalous` [m] is the share of good images that score lower, `good` [n] the share of anomalous
    images that score higher; a tie counts half.
    """

    anomalous: Values
    good: Values

    @property
    def auroc(self) -> float:
        """The AUROC, mean over models."""
        return float(self.anomalous.mean())

    @property
    def variance(self) -> float:
        """The variance of the AUROC over test sets; NaN with fewer than two images of a class."""
        return _variance(self.anomalous, self.good)


@dataclass(frozen=True)
class PairedTest:
    """AUROC of the first method minus that of the second, its z statistic and two-sided p-value."""

    difference: float
    statistic: float
    p: float


def placements(labels: ArrayLike, scores: ArrayLike) -> Placements:
    """Return the placements of images by `scores` of one model [N] or several [models, N].

    `labels` [N] are 0 for good and 1 for anomalous.

    Raises:
        DataError: a score is not finite, a label is not 0 or 1, shapes differ, a class is missing.
    """
    values, anomalous = score_table(labels, scores)
    m, n = np.count_nonzero(anomalous), np.count_nonzero(~anomalous)
    ranks = rankdata(values, axis=1)
    below = ranks[:, anomalous] - rankdata(values[:, anomalous], axis=1)
    not_above = ranks[:, ~anomalous] - rankdata(values[:, ~anomalous], axis=1)
    return Placements((below / n).mean(axis=0), (1 - not_above / m).mean(axis=0))


def score_table(labels: ArrayLike, scores: ArrayLike) -> tuple[Values, NDArray[np.bool_]]:
    """Return scores as float64 [models, N] and labels as bool [N], both classes present.

    Raises:
        DataError: a score is not finite, a label is not 0 or 1, shapes differ, a class is missing.
    """
    values = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    if values.ndim != 2 or not len(values):
        raise DataError(f"scores have shape {values.shape}; pass [images] or [models, images]")
    require_finite(values, "image")
    anomalous = image_labels(labels, values.shape[1])
    if anomalous.all() or not anomalous.any():
        raise DataError("all images are of one class; an AUROC needs good and anomalous ones")
    return values, anomalous


def paired_test(first: Placements, second: Placements) -> PairedTest:
    """Test whether two methods have the same AUROC on the images that both have scored.

    No p-value is below that of a sign test which every image of the smaller class decides alike,
    2 ** (1 - images): so few images cannot say more, whatever the normal approximation says. It is
    the p-value where the variance of the difference is zero but the difference is not; where both
    are zero p = 1. With fewer than two images of a class there is no variance, and p is NaN.
    """
    difference = first.auroc - second.auroc
    variance = _variance(first.anomalous - second.anomalous, first.good - second.good)
    return z_test(difference, variance, min(len(first.anomalous), len(first.good)))


def z_test(difference: float, variance: float, images: int) -> PairedTest:
    """Test a difference by its variance, which is NaN if unknown; `images` of the smaller class."""
    if math.isnan(variance):
        return PairedTest(difference, math.nan, math.nan)
    if variance > _ZERO_VARIANCE:
        z = difference / math.sqrt(variance)
    elif abs(difference) < _ZERO_DIFFERENCE:
        return PairedTest(0.0, 0.0, 1.0)
    else:
        z = math.copysign(math.inf, difference)
    return PairedTest(difference, z, max(2.0 ** (1 - images), float(2 * norm.sf(abs(z)))))


def _variance(anomalous: Values, good: Values) -> float:
    if min(len(anomalous), len(good)) < 2:
        return math.nan
    return float(anomalous.var(ddof=1) / len(anomalous) + good.var(ddof=1) / len(good))


@dataclass(frozen=True, eq=False)
class Influenced:
    """A metric's value and how much each image moves it [N], both means over models."""

    value: float
    influence: Values


def influence_test(
    anomalous: NDArray[np.bool_], first: Influenced, second: Influenced
) -> PairedTest:
    """Test whether two methods have the same value on the images [N] that both have scored.

    p is NaN with fewer than two images of a class, and bounded below as in DeLong's test.
    """
    difference = first.influence - second.influence
    parts = difference[anomalous], difference[~anomalous]
    variance = sum(_scatter(part) for part in parts)
    return z_test(first.value - second.value, variance, min(len(part) for part in parts))


def _scatter(influence: Values) -> float:
    """Return the sum of squared deviations, corrected for the mean that they were taken from."""
    count = len(influence)
    return float(influence.var(ddof=1) * count) if count > 1 else float("nan")
