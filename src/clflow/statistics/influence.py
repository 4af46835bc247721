"""Paired test of any metric of whole test sets whose influence by image is known.

The variance of the difference of two methods is that of the images' differences of influence, good
and anomalous images apart, as many of each in every test set (the infinitesimal jackknife; Efron,
The Jackknife, the Bootstrap and Other Resampling Plans, 1982, ch. 6). Of image AUROC this is
DeLong's test. Like that, it is about new test images for the models at hand, not about new seeds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clflow.statistics.delong import PairedTest, Values, z_test


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
