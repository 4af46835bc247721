"""From a changed image to its mask and training target (NSA, section 'label')."""

from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from clflow.synthesis.pixels import channel_mean, majority

LabelKind = Literal["binary", "intensity", "logistic", "continuous"]

MEDIAN_REACH = 2
_MASK_MEDIAN = 2 * MEDIAN_REACH + 1
_DISK_RADIUS = 5


def mean_change(
    before: NDArray[np.uint8], after: NDArray[np.uint8], inside: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the mean absolute change over channels in grey levels [H, W], 0 outside `inside`."""
    return np.where(
        inside, channel_mean(np.asarray(cv2.absdiff(before, after), np.uint8)), np.float32(0)
    )


def change_mask(
    change: NDArray[np.float32], tolerance: float, *, despeckle: bool = True
) -> NDArray[np.bool_]:
    """Return where the change [H, W] exceeds `tolerance` grey levels, after a 5x5 median or not."""
    exceeds = change > tolerance
    if not despeckle:
        return exceeds
    return majority(exceeds, _MASK_MEDIAN)


def make_label(
    kind: LabelKind,
    change: NDArray[np.float32],
    mask: NDArray[np.bool_],
    k: float,
    x0: float,
    factor: float = 1.0,
) -> NDArray[np.float32]:
    """Return the training target [H, W] of a change [H, W] in grey levels.

    binary is the mask; intensity is d_med, the median of the masked change over a disk of radius
    5, in grey levels; logistic is mask / (1 + exp(-k (d_med - x0))), below 1 for weak changes;
    continuous is factor * mask, as in FPI and PII.
    """
    if kind == "continuous":
        return (factor * mask).astype(np.float32)
    if kind == "binary":
        return mask.astype(np.float32)
    if kind == "intensity":
        reached = cv2.dilate(mask.astype(np.uint8), _disk().astype(np.uint8)) > 0
        return disk_median(change * mask, np.asarray(reached))
    smooth = disk_median(change * mask, mask)
    # tanh is the same function as 1 / (1 + exp(-x)) and cannot overflow
    logistic = 0.5 * (1 + np.tanh(0.5 * k * (smooth - x0)))
    return np.where(mask, logistic, 0).astype(np.float32)


def disk_median(values: NDArray[np.float32], at: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the median of `values` [H, W] over a disk of radius 5 where `at` is set, else 0.

    The image is continued by its edge pixels.
    """
    padded = np.pad(values, _DISK_RADIUS, mode="edge")
    rows, columns = np.nonzero(at)
    down, right = np.nonzero(_disk())
    width = padded.shape[1]
    windows = padded.take((rows * width + columns)[:, None] + (down * width + right))
    middle = windows.shape[1] // 2
    result = np.zeros_like(values)
    result[at] = np.partition(windows, middle, axis=1)[:, middle]
    return result


@lru_cache(maxsize=1)
def _disk() -> NDArray[np.bool_]:
    y, x = np.ogrid[-_DISK_RADIUS : _DISK_RADIUS + 1, -_DISK_RADIUS : _DISK_RADIUS + 1]
    return np.asarray(x**2 + y**2 <= _DISK_RADIUS**2)
