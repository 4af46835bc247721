"""Colour jitter of a pasted patch."""

import cv2
import numpy as np
from numpy.typing import NDArray

_CIRCLE = 360  # OpenCV's hue of a float image; whole-number images would lose colours


def jitter_colours(
    patch: NDArray[np.uint8], strength: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return a patch [h, w, 3] with random brightness, contrast, saturation and hue.

    The first three are scaled by a factor uniform in 1 +- strength, the hue is turned by a share of
    the circle uniform in +- strength. A grey patch stays grey.
    """
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3)
    turn = rng.uniform(-strength, strength)
    bright = np.clip(patch * brightness, 0, 255)
    stretched = np.clip((bright - bright.mean()) * contrast + bright.mean(), 0, 255)
    grey = stretched.mean(axis=2, keepdims=True)
    coloured = np.clip(grey + (stretched - grey) * saturation, 0, 255)
    hsv = cv2.cvtColor((coloured / 255).astype(np.float32), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + turn * _CIRCLE) % _CIRCLE
    return np.rint(255 * cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)).astype(np.uint8)
