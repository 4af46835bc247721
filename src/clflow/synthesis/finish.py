"""The end of every generator: what changed becomes mask, label and boxes."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from clflow.synthesis.fields import LabelSettings
from clflow.synthesis.labels import change_mask, make_label, mean_change
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
    change = mean_change(destination, image, region)
    mask = change_mask(change, settings.tolerance, despeckle=settings.despeckle)
    if not mask.any():
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
    return Synthetic(image, mask, component_boxes(mask), patches, draw_label)
