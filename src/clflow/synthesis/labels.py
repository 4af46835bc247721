"""Mask and label of a change, and the settings of both that every generator has."""

from functools import lru_cache
from typing import Annotated, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

LabelKind = Literal["binary", "intensity", "logistic", "continuous"]
SourceKind = Literal["other", "same", "texture"]
PasteMode = Literal["normal", "mixed", "swap", "interpolate"]

MEDIAN_REACH = 2
_MASK_MEDIAN = 2 * MEDIAN_REACH + 1
_DISK_RADIUS = 5
_SUM = np.ones((1, 3), np.float32)


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"the lower bound {bounds[0]} exceeds the upper bound {bounds[1]}")
    return bounds


Ascending = AfterValidator(_ascending)
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(gt=0, le=1)]
HalfWidth = Annotated[float, Field(gt=0, le=0.5)]
GreyLevel = Annotated[float, Field(ge=0, le=255)]
HalfWidths = Annotated[tuple[HalfWidth, HalfWidth], Ascending]
Scales = Annotated[tuple[Positive, Positive], Ascending]
Shares = Annotated[tuple[Weight, Weight], Ascending]
Weights = Annotated[tuple[Weight, Weight], Ascending]
BackgroundLevels = tuple[GreyLevel, GreyLevel]


class Frozen(BaseModel):
    """Settings: unknown keys are refused, nothing changes after construction."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelSettings(Frozen):
    """From changed pixels to mask and label.

    tolerance and logistic_x0 are in grey levels; `despeckle` passes the mask through a 5x5 median,
    as NSA does, and would erase anomalies of one or two pixels' width.
    """

    label: LabelKind = "binary"
    logistic_k: Positive = 1 / 6
    logistic_x0: NotNegative = 20.0
    tolerance: NotNegative = 1.0
    despeckle: bool = False


def channel_mean(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the mean over the channels of an image [H, W, 3] in grey levels [H, W]."""
    # a sum of three bytes is exact, however it is added up
    total = cv2.transform(image.astype(np.float32), _SUM)
    return np.asarray(total / np.float32(3), np.float32)


def majority(pixels: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """Return the median [H, W] over windows of side x side; the border pixels are continued.

    A median of two values is a vote, and votes are counted faster than sorted.
    """
    votes = cv2.boxFilter(
        pixels.astype(np.uint8),
        cv2.CV_16S,
        (side, side),
        normalize=False,
        borderType=cv2.BORDER_REPLICATE,
    )
    return np.asarray(votes > side * side // 2)


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
