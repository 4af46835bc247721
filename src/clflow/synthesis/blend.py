"""Seamless cloning of a patch into an image; equals `cv2.seamlessClone`, without its traps."""

from math import ceil
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from clflow.errors import DataError, SettingsError
from clflow.synthesis.poisson import blend_rectangle

CloneMode = Literal["normal", "mixed"]

_SMALLEST_AREA = 50
_SMALLEST_SIDE = 3
# OpenCV erodes the mask three times by 3 x 3
_EROSION = np.ones((7, 7), np.uint8)


def seamless_clone(
    destination: NDArray[np.uint8],
    patch: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    corner: tuple[int, int],
    mode: CloneMode,
    factor: float = 1.0,
) -> NDArray[np.uint8] | None:
    """Return a copy of `destination` [H, W, 3] with `patch` [h, w, 3] blended in.

    corner is (y, x) of the patch's top left pixel; mask [h, w] says which pixels of the patch take
    part: its outermost rows and columns never do.
    normal keeps the gradients of the patch; mixed keeps, per pixel and channel, those of patch or
    destination with the larger |gx - gy|. Their weight is ceil(255 factor) / 255, the gradients of
    the destination get the rest (PII, arXiv 2107.02622; a mask of that value in OpenCV).
    Nothing changes outside the box of the mask less 2 px a side.
    Returns None where fewer than 50 pixels, or less than 3 px in one direction, would take part.

    Raises:
        SettingsError: factor is outside 0 < factor <= 1.
        DataError: mask and patch differ in size, or the patch does not fit into the image.
    """
    _check(destination, patch, mask, corner, factor)
    clone = np.zeros(mask.shape, np.uint8)
    clone[1:-1, 1:-1] = mask[1:-1, 1:-1]
    left, top, width, height = cv2.boundingRect(clone)
    if np.count_nonzero(clone) < _SMALLEST_AREA or min(width, height) < _SMALLEST_SIDE:
        return None
    box = np.s_[top : top + height, left : left + width]
    window = destination[corner[0] :, corner[1] :][box]
    inside = np.asarray(cv2.erode(clone, _EROSION)[box], bool)
    weight = ceil(255 * factor) / 255
    blended = destination.copy()
    blended[corner[0] :, corner[1] :][box] = blend_rectangle(
        window, patch[box], inside, mixed=mode == "mixed", weight=weight
    )
    return blended


def _check(
    destination: NDArray[np.uint8],
    patch: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    corner: tuple[int, int],
    factor: float,
) -> None:
    if not 0 < factor <= 1:
        raise SettingsError(f"blend factor {factor} is outside 0 < factor <= 1; choose one inside")
    if mask.shape != patch.shape[:2]:
        raise DataError(f"mask {mask.shape} and patch {patch.shape[:2]} differ in size; crop one")
    ends = np.add(corner, mask.shape)
    if min(corner) < 0 or (ends > destination.shape[:2]).any():
        raise DataError(
            f"a patch {mask.shape} at {corner} leaves the image {destination.shape[:2]}; move it"
        )
