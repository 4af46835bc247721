"""What every metric is made of: the scores of one model on one category."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from clflow.metrics.conformal import Promise, promise
from clflow.metrics.image import image_metrics
from clflow.metrics.pixel import PixelScores
from clflow.metrics.threshold import decisions_at

Named = dict[str, float | None]


@dataclass(frozen=True, eq=False)
class ScoredCategory:
    """Finite scores of one model, and what several metrics share, each made once.

    Attributes:
        labels: of test images, 0 for good and 1 for anomalous, [N].
        images: raw scores of test images, higher for anomalous, [N].
        held_out: those of good images that were neither trained on nor tested on, [M].
        synthetic: those of anomalies made from the held-out images, [K].
        peaks: the highest pixel of each test image's map, [N].
        held_out_peaks: the same of the held-out good images, [M].
        false_alarm_rate: the share of good images that may be called anomalous.
        pixels: maps and masks of the test images of which it is known where the defects are.
        aupimo: mean over the anomalous ones of these, None if undefined.
    """

    labels: NDArray[np.integer]
    images: NDArray[np.floating]
    held_out: NDArray[np.floating]
    synthetic: NDArray[np.floating]
    peaks: NDArray[np.floating]
    held_out_peaks: NDArray[np.floating]
    false_alarm_rate: float
    pixels: PixelScores
    aupimo: float | None

    @cached_property
    def promise(self) -> Promise:
        """Above its threshold an image counts as anomalous."""
        return promise(self.held_out, self.false_alarm_rate)

    @cached_property
    def pixel_promise(self) -> Promise:
        """Above its threshold a pixel is part of a region; its rate is of images with any."""
        return promise(self.held_out_peaks, self.false_alarm_rate)

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
        return decisions_at(self.labels, self.images, self.promise.threshold)

    @cached_property
    def region_rate(self) -> float | None:
        """The share of good test images with any region, None without a good one."""
        found = decisions_at(self.labels, self.peaks, self.pixel_promise.threshold)
        return found["image_fpr"]

    @cached_property
    def localisation(self) -> Named:
        """How well maps tell good pixels from defect pixels."""
        return self.pixels.metrics()
