"""The end of every generator: what changed becomes mask, label and boxes."""

from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from clflow.synthesis.fields import LabelSettings
from clflow.synthesis.labels import MEDIAN_REACH, change_mask, make_label, mean_change
from clflow.synthesis.synthetic import Synthetic, component_boxes

Patches = tuple[dict[str, list[int]], ...]


def finish(
    destination: NDArray[np.uint8],
    image: NDArray[np.uint8],
    region: NDArray[np.bool_],
    settings: LabelSettings,
    factor: float = 1.0,
    patches: Patches = (),
) -> Synthetic | None:
    """Return the anomaly that made `destination` [H, W, 3] into `image`, None if none is visible.

    Changes count inside `region` [H, W]; factor is the label of a changed pixel for `continuous`.
    """
    window = _window(region)
    change, mask = np.zeros(region.shape, np.float32), np.zeros(region.shape, bool)
    change[window] = mean_change(destination[window], image[window], region[window])
    mask[window] = change_mask(change[window], settings.tolerance, despeckle=settings.despeckle)
    boxes = component_boxes(mask[window], (window[1].start, window[0].start))
    if not boxes:
        return None
    draw_label = partial(
        make_label,
        settings.label,
        change,
        mask,
        settings.logistic_k,
        settings.logistic_x0,
        factor,
    )
    return Synthetic(image, mask, boxes, patches, draw_label)


def _window(region: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the part of the image around `region` that medians near it look at."""
    x, y, width, height = cv2.boundingRect(region.astype(np.uint8))
    left, top = max(0, x - MEDIAN_REACH), max(0, y - MEDIAN_REACH)
    return slice(top, y + height + MEDIAN_REACH), slice(left, x + width + MEDIAN_REACH)
