"""AUPIMO: how much of each defect is found while good images stay all but clean, exact.

Bertoldo et al., "AUPIMO", BMVC 2024 (arXiv 2401.01984). Good images alone set the threshold: its
false-positive rate is the mean over them of the share of their pixels that score at least as much.
The recall of an anomalous image is averaged over the logarithm of that rate between two bounds.

All thresholds count. At every rate the lowest threshold is taken that does not exceed it, so recall
is a staircase in the rate, and a defect pixel that ties with good ones is found only where all of
them are allowed for. A pixel whose own threshold has rate f is found at all rates from f upwards;
it adds log(upper / f), with f cut to the bounds, to the area of its image, which is thus a mean
over defect pixels with nothing left to integrate.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clflow.errors import SettingsError
from clflow.metrics.inputs import pixel_scores, require_mask

PIMO_BOUNDS = (1e-5, 1e-4)

Scores = NDArray[np.float32]
Rates = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Aupimo:
    """AUPIMO of images in the order they were added.

    Attributes:
        per_image: value of each anomalous image, NaN for a good one, [N]; all NaN if undefined.
        undefined: why there is no value, or None if there is.
    """

    per_image: Rates
    undefined: str | None

    @property
    def mean(self) -> float | None:
        """Mean over the anomalous images, or None if undefined."""
        return None if self.undefined else float(np.nanmean(self.per_image))


class PimoScores:
    """Collects anomaly maps and masks, then measures the recall of each anomalous image.

    Memory is 4 bytes per pixel of a good image and per defect pixel, and hardly more while
    measuring. The good pixels of anomalous images play no part.
    """

    def __init__(self, bounds: tuple[float, float] = PIMO_BOUNDS) -> None:
        """Measure between these false-positive rates.

        Raises:
            SettingsError: the bounds are not 0 < lower < upper <= 1.
        """
        self._lower, self._upper = bounds
        if not 0 < self._lower < self._upper <= 1:
            raise SettingsError(
                f"AUPIMO bounds {bounds} must be false-positive rates 0 < lower < upper <= 1, "
                f"such as {PIMO_BOUNDS}"
            )
        self._good: list[Scores] = []
        self._defects: list[Scores | None] = []

    def add(self, score_map: NDArray[np.floating], mask: NDArray[np.bool_] | None) -> None:
        """Add an anomaly map [H, W] and its mask [H, W], true on defects.

        Images may differ in size. The mask is None or empty for a good image. Scores are kept as
        float32.

        Raises:
            DataError: a score is not finite, or the mask is not bool or not of the map's shape.
        """
        scores = pixel_scores(score_map)
        if mask is not None:
            require_mask(mask, scores)
        if mask is None or not mask.any():
            self._good.append(scores.flatten())
            self._defects.append(None)
        else:
            self._defects.append(scores[mask])

    def measure(self) -> Aupimo:
        """Return the value of each image.

        It is undefined without a good or without an anomalous image, and when one pixel of a good
        image is a higher false-positive rate than the lower bound: the bound has no meaning then.
        """
        values = np.full(len(self._defects), np.nan)
        reason = self._undefined()
        if reason is None:
            highest, rates = self._false_positives()
            for index, scores in enumerate(self._defects):
                if scores is not None:
                    values[index] = self._area(rates[np.searchsorted(highest, scores)])
        return Aupimo(values, reason)

    def _undefined(self) -> str | None:
        if not self._good:
            return "there is no good image to set thresholds by"
        if len(self._good) == len(self._defects):
            return "there is no anomalous image with a marked pixel"
        pixels = len(self._good) * min(scores.size for scores in self._good)
        if pixels * self._lower < 1:
            return (
                f"one pixel of {len(self._good)} good images is a false-positive rate of "
                f"{1 / pixels:.2g}, more than the lower bound {self._lower:g}"
            )
        return None

    def _false_positives(self) -> tuple[Scores, Rates]:
        """Return the highest good scores upwards [K], and the rate of each as a threshold [K + 1].

        The last rate, of any higher threshold, is 0.
        """
        highest = [_highest(s, self._upper * len(self._good) * s.size) for s in self._good]
        shares = [1 / (len(self._good) * scores.size) for scores in self._good]
        scores, share = np.concatenate(highest), np.repeat(shares, [len(h) for h in highest])
        order = np.argsort(scores)
        rates = np.cumsum(np.append(share[order], 0.0)[::-1])[::-1]
        return scores[order], rates

    def _area(self, rates: Rates) -> float:
        cut = np.clip(rates, self._lower, self._upper)
        shares = np.log(self._upper / cut) / math.log(self._upper / self._lower)
        # two logarithms of the same number may differ in the last bit
        return float(np.mean(np.minimum(shares, 1.0)))


def _highest(scores: Scores, count: float) -> Scores:
    """Return more than `count` of the highest scores, or all: lower ones exceed the upper bound."""
    first = max(scores.size - math.floor(count) - 1, 0)
    # a copy, since a slice would keep all of the scores alive
    return np.partition(scores, first)[first:].copy()
