"""Poisson blending of a patch into an image, around the traps of `cv2.seamlessClone`."""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

CloneMode = Literal["normal", "mixed"]

_MODES: dict[str, int] = {"normal": cv2.NORMAL_CLONE, "mixed": cv2.MIXED_CLONE}
_SMALLEST_AREA = 50
_SMALLEST_SIDE = 3


def seamless_clone(
    destination: NDArray[np.uint8],
    patch: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    corner: tuple[int, int],
    mode: CloneMode,
) -> NDArray[np.uint8] | None:
    """Return a copy of `destination` [H, W, 3] with `patch` [h, w, 3] blended in.

    corner is (y, x) of the patch's top left pixel; mask [h, w] says which pixels of the patch take
    part: its outermost rows and columns never do.
    normal keeps the gradients of the patch; mixed keeps, per pixel, those of patch or destination
    with the larger |gx - gy|. Nothing changes outside the box of the mask less 2 px a side.
    Returns None where fewer than 50 pixels, or less than 3 px in one direction, would take part.
    """
    clone = np.zeros(mask.shape, np.uint8)
    clone[1:-1, 1:-1] = np.where(mask[1:-1, 1:-1], 255, 0)
    x, y, width, height = cv2.boundingRect(clone)
    if np.count_nonzero(clone) < _SMALLEST_AREA or min(width, height) < _SMALLEST_SIDE:
        return None
    # OpenCV centres the bounding rectangle of the mask, not the patch, on this point
    centre = (corner[1] + x + width // 2, corner[0] + y + height // 2)
    # OpenCV erodes the array it is given in place: `clone` is private to this call
    blended = cv2.seamlessClone(patch, destination, clone, centre, _MODES[mode])
    return np.asarray(blended, np.uint8)
