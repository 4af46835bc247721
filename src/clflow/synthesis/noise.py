"""Perlin's gradient noise in two dimensions."""

import numpy as np
from numpy.typing import NDArray


def perlin_noise(
    shape: tuple[int, int], cells: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return gradient noise [H, W] with that many cells down and across, about in -1 to 1.

    Unit gradients of uniform direction sit at the corners of the cells; between them the dot
    products are faded by 6t^5 - 15t^4 + 10t^3 (K. Perlin, "Improving noise", SIGGRAPH 2002) and
    scaled by sqrt(2), as DRAEM does.
    """
    angle = rng.uniform(0, 2 * np.pi, (cells[0] + 1, cells[1] + 1))
    down, across = np.sin(angle), np.cos(angle)
    (row, y), (column, x) = (_cell(side, count) for side, count in zip(shape, cells, strict=True))

    def corner(dy: int, dx: int) -> NDArray[np.float64]:
        gradients = (way[row + dy].take(column + dx, axis=1) for way in (down, across))
        along_y, along_x = gradients
        along_y *= (y - dy)[:, None]
        along_x *= x - dx
        return np.add(along_y, along_x, out=along_y)

    fade_y, fade_x = _fade(y)[:, None], _fade(x)
    top = corner(0, 0) + fade_x * (corner(0, 1) - corner(0, 0))
    bottom = corner(1, 0) + fade_x * (corner(1, 1) - corner(1, 0))
    noise: NDArray[np.float64] = np.sqrt(2) * (top + fade_y * (bottom - top))
    return noise


def _cell(side: int, count: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the cell of every pixel and where in it the pixel lies, 0 to 1."""
    place = np.arange(side, dtype=np.float64) * (count / side)
    cell = place.astype(np.intp)
    return cell, place - cell


def _fade(t: NDArray[np.float64]) -> NDArray[np.float64]:
    return t**3 * (t * (6 * t - 15) + 10)
