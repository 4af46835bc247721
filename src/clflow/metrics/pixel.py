"""Pixel-level localisation metrics over all test images of a category, exact."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from clflow.metrics.curves import DefectSteps, PixelCurves, Rates, defect_steps, require_limit
from clflow.metrics.influence import Image, influences
from clflow.metrics.inputs import pixel_scores, region_areas, require_mask

AUPRO_LIMITS = (0.3, 0.05)


def aupro_name(limit: float) -> str:
    """Return the metric name of AUPRO up to a false-positive rate, `aupro_05` for 0.05."""
    return f"aupro_{f'{100 * limit:g}'.zfill(2)}"


class PixelScores:
    """Collects anomaly maps and masks, then measures them together.

    Every pixel counts the same in AUROC, AP and F1-max; every defect region counts the same in
    AUPRO. Memory is 4 bytes per good pixel and 8 per defect pixel, and about three times that while
    measuring.
    """

    def __init__(self) -> None:
        self._good: list[NDArray[np.float32]] = []
        self._defect: list[NDArray[np.float32]] = []
        self._areas: list[NDArray[np.int32]] = []
        self._steps: DefectSteps | None = None

    def add(self, score_map: NDArray[np.floating], mask: NDArray[np.bool_] | None) -> None:
        """Add an anomaly map [H, W] and its mask [H, W], true on defects.

        Images may differ in size. The mask is None for a good image; an empty one makes every pixel
        good. An anomalous image whose mask is not known must not be added. Scores are kept as
        float32.

        Raises:
            DataError: a score is not finite, or the mask is not bool or not of the map's shape.
        """
        scores = pixel_scores(score_map)
        if mask is None:
            self._good.append(scores.flatten())
        else:
            require_mask(mask, scores)
            self._good.append(scores[~mask])
            self._defect.append(scores[mask])
            self._areas.append(region_areas(mask))
        self._steps = None

    def metrics(self, limits: Sequence[float] = AUPRO_LIMITS) -> dict[str, float | None]:
        """Return pixel AUROC, AP, oracle F1-max, and AUPRO up to each false-positive-rate limit.

        All are None without a good pixel or without a defect pixel.

        Raises:
            SettingsError: a limit is outside (0, 1].
        """
        for limit in limits:
            require_limit(limit)
        names = ["pixel_auroc", "pixel_ap", "pixel_f1_max", *map(aupro_name, limits)]
        steps = self._measured()
        if steps is None:
            return dict.fromkeys(names)
        curves = steps.curves()
        values = [steps.auroc(), steps.average_precision(), steps.f1_max()]
        return dict(zip(names, values + [curves.aupro(limit) for limit in limits], strict=True))

    def curves(self, points: int = 512) -> PixelCurves | None:
        """Return at most `points` vertices of the ROC and PRO curves, or None if undefined."""
        steps = self._measured()
        return None if steps is None else steps.curves().thinned(points)

    def influences(
        self, images: Iterable[Image], limits: Sequence[float] = AUPRO_LIMITS
    ) -> dict[str, Rates]:
        """Return by metric how much each image moves it, [N]; nothing where none is defined.

        Args:
            images: map and mask of each image that was added, in any order.
        """
        steps = self._measured()
        if steps is None:
            return {}
        auroc, aupro = influences(steps, images, limits)
        names = map(aupro_name, limits)
        return {"pixel_auroc": auroc, **dict(zip(names, aupro, strict=True))}

    def _measured(self) -> DefectSteps | None:
        if self._steps is None and self._good and self._defect:
            good = np.concatenate(self._good)
            good.sort()
            self._good = [good]
            areas = np.concatenate(self._areas)
            self._steps = defect_steps(good, np.concatenate(self._defect), 1.0 / areas)
        return self._steps
