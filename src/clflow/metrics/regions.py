"""Defect regions of a mask."""

import cv2
import numpy as np
from numpy.typing import NDArray


def region_areas(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return for every defect pixel, in row order, the area of its 8-connected region in pixels."""
    _, regions = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    region = regions[mask]
    return np.bincount(region).astype(np.int32)[region]
