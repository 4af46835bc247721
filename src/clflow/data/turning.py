"""Images turned and shifted: what the detector and an exported graph's runtime do alike."""

import cv2
import numpy as np
from numpy.typing import NDArray

_BORDERS = {"border": cv2.BORDER_REPLICATE, "reflection": cv2.BORDER_REFLECT}


def turned_images(
    images: NDArray[np.uint8], theta: NDArray[np.float32], padding: str
) -> NDArray[np.uint8]:
    """Return images [N, S, S, C] seen through theta, bicubic: bilinear would blur them.

    Args:
        images: uint8 [N, S, S, C].
        theta: maps [N, 2, 3] between half sides, as torch's `affine_grid` has them.
        padding: what lies beyond the border, `border` or `reflection`.
    """
    size = images.shape[1]
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    out = np.empty(images.shape, np.uint8)
    for image, matrix, into in zip(images, _in_pixels(theta, size), out, strict=True):
        cv2.warpAffine(image, matrix, (size, size), into, flags, _BORDERS[padding])
    return out


def _in_pixels(theta: NDArray[np.float32], size: int) -> NDArray[np.float64]:
    """Return maps [N, 2, 3] on pixel indices, whose first centre is 0, instead of half sides."""
    linear, shift = theta[:, :, :2].astype(np.float64), theta[:, :, 2].astype(np.float64)
    centre = (size - 1) / 2
    moved = shift * size / 2 + centre - linear.sum(2) * centre
    return np.concatenate([linear, moved[:, :, None]], 2)
