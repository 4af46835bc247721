"""Poisson blending of a rectangle: the gradients of a patch between the borders of an image.

The result f keeps the border of the destination and solves laplacian(f) = div v, where the
guidance v is the gradient of the patch or of the destination (Pérez, Gangnet and Blake, Poisson
Image Editing, SIGGRAPH 2003, eq. 4). What is solved for is the change f - destination: it is zero
on the border, and exactly zero where patch and destination agree.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

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
