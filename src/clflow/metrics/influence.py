"""How much each image moves pixel AUROC and AUPRO: what their variance over test images is made of.

Both are areas under a curve of weighted defect pixels over the false-positive rate F, up to a limit
L: the sum over defect pixels of their weight times max(0, L - F(score)) / L. The influence of an
image is the derivative of the area by the image's weight, through its own defect pixels and through
its share of F (the infinitesimal jackknife; Efron, The Jackknife, the Bootstrap and Other
Resampling Plans, 1982, ch. 6). Pixels of an image are not independent, images are: the variance is
that of the influences. With one pixel per image it is DeLong's.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from clflow.metrics.curves import DefectSteps, Rates
from clflow.metrics.inputs import pixel_scores, region_areas

Image = tuple[NDArray[np.floating], NDArray[np.bool_] | None]


class CurveArea:
    """The area under one curve of all images, and what single pixels add to it.

    Args:
        steps: of all images.
        gains: share of the curve's height at each step, [U], 1 in sum.
        limit: false-positive rate at which the curve ends.
    """

    def __init__(self, steps: DefectSteps, gains: Rates, limit: float) -> None:
        rates = (steps.good_above + steps.good_from)[::-1] / (2 * steps.good_total)
        heights = np.clip(limit - rates, 0, None) / limit
        counted = gains[::-1] * (rates < limit)
        self.value = float(gains[::-1] @ heights)
        self._heights = heights
        self._below = np.concatenate([[0.0], np.cumsum(counted)])
        self._usual = float(counted @ rates)
        self._scale = limit * steps.good_total

    def of_good(self, first: NDArray[np.intp], last: NDArray[np.intp]) -> float:
        """Return the influence of good pixels that lie between two of the upward levels each."""
        passed = (self._below[first].sum() + self._below[last].sum()) / 2
        return -float(passed - len(first) * self._usual) / self._scale

    def of_defects(self, places: NDArray[np.intp], weights: Rates) -> float:
        """Return the influence of defect pixels at these upward levels, times all weights' sum."""
        return float(weights @ self._heights[places] - self.value * weights.sum())


def influences(
    steps: DefectSteps, images: Iterable[Image], limits: Sequence[float]
) -> tuple[Rates, Rates]:
    """Return influences on pixel AUROC [N] and on AUPRO up to each limit [limits, N].

    Args:
        steps: of the same images.
        images: anomaly map and mask of each, the mask None for a good image.
    """
    levels = steps.levels[::-1]
    areas = [CurveArea(steps, _gains(steps.true_positives), 1.0)]
    areas += [CurveArea(steps, _gains(steps.overlap), limit) for limit in limits]
    good, defect, totals = [], [], np.zeros(len(areas))
    for score_map, known in images:
        scores = pixel_scores(score_map)
        mask = np.zeros(scores.shape, dtype=bool) if known is None else known
        ranked = np.sort(scores[~mask])
        bounds = np.searchsorted(levels, ranked), np.searchsorted(levels, ranked, "right")
        good.append([area.of_good(*bounds) for area in areas])
        weights = _weights(mask, len(limits))
        places = np.searchsorted(levels, scores[mask])
        defect.append([a.of_defects(places, w) for a, w in zip(areas, weights, strict=True)])
        totals += [own.sum() for own in weights]
    found = np.array(good).T + np.array(defect).T / totals[:, None]
    return found[0], found[1:]


def _gains(rising: NDArray[np.floating] | NDArray[np.integer]) -> Rates:
    return np.diff(rising, prepend=0) / float(rising[-1])


def _weights(mask: NDArray[np.bool_], limits: int) -> list[Rates]:
    """Return the weights of the defect pixels: alike for AUROC, by region for each AUPRO."""
    areas = region_areas(mask)
    return [np.ones(len(areas)), *[1.0 / areas] * limits]
