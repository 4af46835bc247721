"""What every metric is made of: the scores of one model on one category."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from clflow.metrics.image import image_metrics
from clflow.metrics.pixel import PixelScores
from clflow.metrics.threshold import decisions_at, threshold_from_good

Named = dict[str, float | None]


@dataclass(frozen=True, eq=False)
class ScoredCategory:
    """Finite scores of one model, and what several metrics share, each made once.

    Attributes:
        labels: of test images, 0 for good and 1 for anomalous, [N].
        images: raw scores of test images, higher for anomalous, [N].
        held_out: those of good images that were neither trained on nor tested on, [M].
        synthetic: those of anomalies made from the held-out images, [K].
        quantile: of the held-out scores, at which the threshold is.
        pixels: maps and masks of the test images of which it is known where the defects are.
        aupimo: mean over the anomalous ones of these, None if undefined.
    """

    labels: NDArray[np.integer]
    images: NDArray[np.floating]
    held_out: NDArray[np.floating]
    synthetic: NDArray[np.floating]
    quantile: float
    pixels: PixelScores
    aupimo: float | None

    @cached_property
    def threshold(self) -> float:
        """Above it an image counts as anomalous."""
        return threshold_from_good(self.held_out, self.quantile)

    @cached_property
    def ranking(self) -> Named:
        """How well scores tell good test images from anomalous ones."""
        return image_metrics(self.labels, self.images)

    @cached_property
    def synthetic_ranking(self) -> Named:
        """How well scores tell held-out good images from synthetic anomalies."""
        labels = np.repeat([0, 1], [len(self.held_out), len(self.synthetic)])
        return image_metrics(labels, np.concatenate([self.held_out, self.synthetic]))

    @cached_property
    def decisions(self) -> Named:
        """What the threshold gives on test images."""
        return decisions_at(self.labels, self.images, self.threshold)

    @cached_property
    def localisation(self) -> Named:
        """How well maps tell good pixels from defect pixels."""
        return self.pixels.metrics()
