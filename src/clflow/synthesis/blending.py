"""Putting a patch into an image: interpolation, a hard paste, or Poisson blending."""

from functools import lru_cache
from math import ceil
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from clflow.errors import DataError, SettingsError
from clflow.synthesis.labels import PasteMode
from clflow.synthesis.patch import Patch

CloneMode = Literal["normal", "mixed"]

_SMALLEST_AREA = 50
_SMALLEST_SIDE = 3
# OpenCV erodes the mask three times by 3 x 3
_EROSION = np.ones((7, 7), np.uint8)
# In grey levels: a solution that is a whole number must not fall a level by rounding error
_SLACK = 1e-6


def blend_rectangle(
    destination: NDArray[np.uint8],
    patch: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    *,
    mixed: bool,
    weight: float = 1.0,
) -> NDArray[np.uint8]:
    """Return `destination` [h, w, C] with the gradients of `patch` [h, w, C] where `inside` [h, w].

    Inside, the guidance is weight * patch + (1 - weight) * destination; mixed takes it only where
    |gx - gy| of the patch is the larger one, by channel. The outermost rows and columns stay.
    Values are cut to 0..255 and rounded down, as OpenCV does.
    """
    below, above = _planes(destination), _planes(patch)
    guidance = _guidance_divergence(below, above, inside, mixed)
    grey = solve_poisson(weight * guidance.astype(np.float64))
    grey += below[:, 1:-1, 1:-1]
    grey += _SLACK
    blended = destination.copy()
    blended[1:-1, 1:-1] = grey.clip(0, 255, out=grey).transpose(1, 2, 0)
    return blended


def solve_poisson(laplacian: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the grids [..., h, w] with this five-point laplacian, zero around each grid.

    Direct: sines diagonalise the second difference (Lynch, Rice and Thomas, Direct solution of
    partial difference equations by tensor product methods, Numerische Mathematik 6, 1964). Dense
    products are faster than fast sine transforms at most sizes of patches, and about equal at
    large sizes that factor well. Keep BLAS at one thread: more cost far more than they save.
    """
    (rows, row_values), (columns, column_values) = (_sines(n) for n in laplacian.shape[-2:])
    spectrum = rows @ laplacian @ columns
    spectrum /= row_values[:, None] + column_values
    solution: NDArray[np.float64] = rows @ spectrum @ columns
    return solution


def _planes(pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.int16)


def _guidance_divergence(
    destination: NDArray[np.int16],
    patch: NDArray[np.int16],
    inside: NDArray[np.bool_],
    mixed: bool,
) -> NDArray[np.int16]:
    """Return [C, h - 2, w - 2] of the guidance less the destination's own gradient, full weight.

    Gradients are forward differences, the divergence is made of backward ones.
    """
    taken = inside[:-1, :-1]
    if mixed:
        taken = taken & (np.abs(_gx_less_gy(patch)) > np.abs(_gx_less_gy(destination)))
    change = patch - destination
    gx = (change[:, :-1, 1:] - change[:, :-1, :-1]) * taken
    gy = (change[:, 1:, :-1] - change[:, :-1, :-1]) * taken
    divergence: NDArray[np.int16] = np.diff(gx[:, 1:], axis=2) + np.diff(gy[:, :, 1:], axis=1)
    return divergence


def _gx_less_gy(planes: NDArray[np.int16]) -> NDArray[np.int16]:
    return planes[:, :-1, 1:] - planes[:, 1:, :-1]


# As many sizes as patches of small images have, a few MB; a size costs less than its products
@lru_cache(maxsize=64)
def _sines(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the eigenvectors [n, n] of the second difference, their own inverse, and values [n].

    Ends are zero: sqrt(2 / (n + 1)) * sin(pi j k / (n + 1)) and -4 sin^2(pi k / 2 (n + 1)).
    """
    index = np.arange(1, size + 1)
    # Sine repeats after 2 (n + 1): looked up, it stays accurate for large j k and is cheaper
    period = np.sin(np.pi / (size + 1) * np.arange(2 * (size + 1)))
    vectors = np.sqrt(2 / (size + 1)) * period[np.outer(index, index) % len(period)]
    values = -4 * np.sin(np.pi / 2 / (size + 1) * index) ** 2
    vectors.flags.writeable = values.flags.writeable = False
    return vectors, values


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


def paste(
    image: NDArray[np.uint8], patch: Patch, mode: PasteMode, factor: float
) -> NDArray[np.uint8] | None:
    """Return a copy of `image` [H, W, 3] with a patch in it; None where it is too small to blend.

    normal and mixed blend its gradients with weight `factor`, over the whole shape; interpolate
    mixes its pixels with that weight where it may count as changed, swap replaces them.
    """
    if mode == "normal" or mode == "mixed":
        return seamless_clone(image, patch.pixels, patch.shape, patch.corner, mode, factor)
    pasted = image.copy()
    weight = 1.0 if mode == "swap" else factor
    pasted[patch.window] = interpolate(image[patch.window], patch.pixels, patch.region, weight)
    return pasted


def interpolate(
    below: NDArray[np.uint8],
    above: NDArray[np.uint8],
    region: NDArray[np.bool_],
    weight: float,
) -> NDArray[np.uint8]:
    """Return (1 - weight) * below + weight * above where `region` [H, W] is set, else below."""
    mixed = (1 - weight) * below[region].astype(np.float64) + weight * above[region]
    result = below.copy()
    result[region] = np.rint(mixed)
    return result
