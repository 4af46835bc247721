"""Images and maps seen through affine maps, bilinear, as torch's `grid_sample` sees them."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def sampled(image: Floats, theta: Floats, axis: Floats, border: int) -> Floats:
    """Return an image [H, W] seen through theta [2, 3], [S, S].

    Args:
        image: float32 [H, W].
        theta: between half sides.
        axis: centres of the S cells of a side, in half sides.
        border: OpenCV's BORDER_CONSTANT, which is zero, or BORDER_REPLICATE.
    """
    height, width = image.shape
    x = along(theta[0], axis, width)
    y = along(theta[1], axis, height)
    return (remapped if exact_remap() else interpolated)(image, x, y, border)


def restored(image: Floats, theta: Floats, size: int) -> Floats:
    """Return a map [H, W] seen through the inverse of theta [2, 3], [size, size].

    Borders are extended.
    """
    linear = np.linalg.inv(theta[:, :2].astype(np.float64))
    back = np.column_stack([linear, -linear @ theta[:, 2]]).astype(np.float32)
    return sampled(image, back, centres(size), cv2.BORDER_REPLICATE)


def centres(size: int) -> Floats:
    """Return the centres of the cells of a side, in half sides [size]."""
    return ((np.arange(size) + 0.5) * 2 / size - 1).astype(np.float32)


def along(row: Floats, axis: Floats, size: int) -> Floats:
    """Return a coordinate of each place in pixels [S, S]."""
    half = np.float32(size / 2)
    down = (row[1] * axis + row[2] + 1) * half - np.float32(0.5)
    return down[:, None] + row[0] * axis * half


def remapped(image: Floats, x: Floats, y: Floats, border: int) -> Floats:
    """Return an image [H, W] at places [S, S] in pixels."""
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=border))


def interpolated(image: Floats, x: Floats, y: Floats, border: int) -> Floats:
    """Return an image [H, W] at places [S, S] in pixels, as `cv2.remap` of OpenCV 5 does."""
    extended = cv2.copyMakeBorder(image, 1, 1, 1, 1, border)
    height, width = extended.shape
    left, across = _split(x + 1, width)
    top, down = _split(y + 1, height)
    flat, index = extended.ravel(), top * width + left
    upper = flat[index] * (1 - across) + flat[index + 1] * across
    lower = flat[index + width] * (1 - across) + flat[index + width + 1] * across
    found: Floats = upper * (1 - down) + lower * down
    return found


def _split(places: Floats, size: int) -> tuple[NDArray[np.int64], Floats]:
    """Return the lower of the two cells around each place, and how far it is from there."""
    inside = np.clip(places, 0, size - 1)
    low = np.minimum(inside.astype(np.int64), size - 2)
    return low, (inside - low).astype(np.float32)


@cache
def exact_remap() -> bool:
    """Return whether OpenCV interpolates exactly: before version 5 it rounds to 1/32 of a pixel."""
    image = np.array([[0, 1]], np.float32)
    x, y = np.full((1, 1), 0.01, np.float32), np.zeros((1, 1), np.float32)
    found = cv2.remap(image, x, y, cv2.INTER_LINEAR)[0, 0]
    return bool(abs(found - np.float32(0.01)) < 1e-6)
