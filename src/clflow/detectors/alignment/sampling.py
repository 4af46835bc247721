"""Bilinear sampling whose gradient repeats exactly on every device."""

import torch
from torch import Tensor

from clflow.detectors.alignment.warp import places


def sample(maps: Tensor, theta: Tensor, size: int) -> Tensor:
    """Return maps [N, C, H, W] seen through theta [N, 2, 3], borders extended, [N, C, size, size].

    The same as `grid_sample`, whose gradient on CUDA varies from run to run and is refused where
    torch is told to repeat exactly; that of `gather` does not.
    """
    count, channels, height, width = maps.shape
    grid = places(theta, size)
    x, left, right = _along(grid[..., 0], width)
    y, top, bottom = _along(grid[..., 1], height)
    flat = maps.flatten(2)

    def at(row: Tensor, column: Tensor) -> Tensor:
        index = (row * width + column).flatten(1)[:, None].expand(-1, channels, -1)
        return flat.gather(2, index).reshape(count, channels, size, size)

    upper = torch.lerp(at(top, left), at(top, right), x[:, None])
    lower = torch.lerp(at(bottom, left), at(bottom, right), x[:, None])
    return torch.lerp(upper, lower, y[:, None])


def _along(places: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the fraction between two neighbouring cells, and their indices."""
    cells = (((places + 1) * size - 1) / 2).clamp(0, size - 1)
    low = cells.detach().floor()
    index = low.long()
    return cells - low, index, (index + 1).clamp(max=size - 1)
