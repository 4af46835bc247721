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
    x = _along(theta[0], axis, width)
    y = _along(theta[1], axis, height)
    if exact_remap():
        return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=border))
    return interpolated(image, x, y, border)


def restored(image: Floats, theta: Floats, size: int) -> Floats:
    """Return a map [H, W] seen through the inverse of theta [2, 3], borders extended [size, size]."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) * np.float32(2 / size) - 1
    linear = np.linalg.inv(theta[:, :2].astype(np.float64))
    back = np.column_stack([linear, -linear @ theta[:, 2]]).astype(np.float32)
    return sampled(image, back, axis, cv2.BORDER_REPLICATE)


def _along(row: Floats, axis: Floats, size: int) -> Floats:
    """Return a coordinate of each place in pixels [S, S]."""
    half = np.float32(size / 2)
    down = (row[1] * axis + row[2] + 1) * half - np.float32(0.5)
    return down[:, None] + row[0] * axis * half


def interpolated(image: Floats, x: Floats, y: Floats, border: int) -> Floats:
    """Return an image [H, W] at places [S, S] in pixels."""
    extended = cv2.copyMakeBorder(image, 1, 1, 1, 1, border)
    x, y = (
        np.clip(places + 1, 0, side - 1, dtype=np.float32)
        for places, side in zip((x, y), extended.shape[::-1], strict=True)
    )
    left, top = (np.minimum(places.astype(np.int64), side - 2) for places, side in zip((x, y), extended.shape[::-1], strict=True))
    across, down, flat = x - left, y - top, extended.ravel()
    index = top * extended.shape[1] + left
    upper = flat[index] * (1 - across) + flat[index + 1] * across
    lower = flat[index + extended.shape[1]] * (1 - across) + flat[index + extended.shape[1] + 1] * across
    return upper * (1 - down) + lower * down


@cache
def exact_remap() -> bool:
    """Return whether OpenCV interpolates exactly: before version 5 it rounds to 1/32 of a pixel."""
    image = np.array([[0, 1]], np.float32)
    x, y = np.full((1, 1), 0.01, np.float32), np.zeros((1, 1), np.float32)
    found = cv2.remap(image, x, y, cv2.INTER_LINEAR)[0, 0]
    return bool(abs(found - np.float32(0.01)) < 1e-6)
