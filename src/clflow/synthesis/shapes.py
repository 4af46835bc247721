"""The outline of a patch: its rectangle, or a union of random ellipses in it."""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

PatchShape = Literal["rectangle", "ellipses"]

_ELLIPSES = 5
_SMALLEST_AXIS = 0.1


def draw_shape(
    kind: PatchShape, size: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return the pixels of a patch of size (h, w) that belong to it, bool [h, w].

    ellipses is the union of five of them, centres and directions uniform, half-axes uniform
    between a tenth and a half of the sides: NSA has such a switch, its numbers are not published.
    """
    if kind == "rectangle":
        return np.ones(size, bool)
    canvas = np.zeros(size, np.uint8)
    for _ in range(_ELLIPSES):
        _draw_ellipse(canvas, rng)
    return canvas > 0


def _draw_ellipse(canvas: NDArray[np.uint8], rng: np.random.Generator) -> None:
    height, width = canvas.shape
    centre = (int(rng.integers(width)), int(rng.integers(height)))
    shares = rng.uniform(_SMALLEST_AXIS, 0.5, 2)
    axes = (max(1, round(shares[0] * width)), max(1, round(shares[1] * height)))
    cv2.ellipse(canvas, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
