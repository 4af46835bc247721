"""The scores, labels and masks that metrics take, checked, and the defect regions of a mask."""

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from clflow.errors import DataError


def require_finite(scores: NDArray[np.floating], kind: str) -> None:
    """Raise DataError when any of the `kind` scores is NaN or infinite."""
    bad = scores.size - np.count_nonzero(np.isfinite(scores))
    if bad:
        raise DataError(
            f"{bad} of {scores.size} {kind} scores are NaN or infinite; scores must be finite: "
            "check the training loss, then train and predict again"
        )


def image_scores(scores: ArrayLike) -> NDArray[np.float64]:
    """Return image scores as float64 [N].

    Raises:
        DataError: not one-dimensional, or not all finite.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1:
        raise DataError(f"image scores have shape {values.shape}; pass one score per image, [N]")
    require_finite(values, "image")
    return values


def image_labels(labels: ArrayLike, count: int) -> NDArray[np.bool_]:
    """Return 0/1 image labels as bool [N], true where anomalous.

    Raises:
        DataError: not `count` labels, or a label other than 0 and 1.
    """
    values = np.asarray(labels)
    if values.shape != (count,):
        raise DataError(f"labels have shape {values.shape}; pass one for each of {count} scores")
    unknown = sorted(set(np.unique(values).tolist()) - {0, 1})
    if unknown:
        raise DataError(f"unknown labels {unknown}; use 0 for good and 1 for anomalous images")
    return values.astype(bool)


def pixel_scores(score_map: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return an anomaly map as float32 [H, W].

    Raises:
        DataError: not two-dimensional, or not all finite.
    """
    scores = np.asarray(score_map, dtype=np.float32)
    if scores.ndim != 2:
        raise DataError(f"anomaly map has shape {scores.shape}; add one map [H, W] at a time")
    require_finite(scores, "pixel")
    return scores


def require_mask(mask: NDArray[np.bool_], scores: NDArray[np.float32]) -> None:
    """Raise DataError when a mask is not bool or not of the shape of its anomaly map."""
    if mask.shape != scores.shape:
        raise DataError(
            f"mask {mask.shape} and anomaly map {scores.shape} differ in shape; "
            "resize the map to the mask, or the mask by nearest neighbour"
        )
    if mask.dtype != np.bool_:
        raise DataError(f"mask has type {mask.dtype}; pass bool, true on defects: mask > 0")


def region_areas(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return for every defect pixel, in row order, the area of its 8-connected region in pixels."""
    _, regions = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    region = regions[mask]
    return np.bincount(region).astype(np.int32)[region]
