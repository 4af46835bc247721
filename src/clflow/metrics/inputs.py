"""Checks that every metric makes before it counts anything."""

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
