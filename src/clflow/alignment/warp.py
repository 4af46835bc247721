"""Bilinear sampling whose gradient repeats exactly on every device."""

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from clflow.data.turning import turned_images


def identity(count: int) -> Tensor:
    """Return maps [count, 2, 3] that change nothing."""
    return torch.eye(2, 3).expand(count, 2, 3).clone()


def similarity(angle: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Return maps that turn, scale and shift [N, 2, 3].

    Args:
        angle: in radians [N].
        scale: one factor [N], or one for each axis [N, 2].
        shift: in half sides [N, 2].
    """
    factors = scale if scale.dim() == 2 else scale[:, None].expand(-1, 2)
    cosine, sine = angle.cos()[:, None] * factors, angle.sin()[:, None] * factors
    rows = [
        torch.stack([cosine[:, 0], -sine[:, 1], shift[:, 0]], 1),
        torch.stack([sine[:, 0], cosine[:, 1], shift[:, 1]], 1),
    ]
    return torch.stack(rows, 1)


def chain(first: Tensor, second: Tensor) -> Tensor:
    """Return the maps [N, 2, 3] of warping by `first`, then by `second`."""
    linear = first[:, :, :2] @ second[:, :, :2]
    return torch.cat([linear, first[:, :, :2] @ second[:, :, 2:] + first[:, :, 2:]], 2)


def inverse(theta: Tensor) -> Tensor:
    """Return the maps [N, 2, 3] that undo `theta`."""
    linear = torch.linalg.inv(theta[:, :, :2])
    return torch.cat([linear, -linear @ theta[:, :, 2:]], 2)


def places(theta: Tensor, size: int) -> Tensor:
    """Return where theta [N, 2, 3] takes the centres of the cells of a square, [N, size, size, 2].

    The same as torch's `affine_grid`, which multiplies many small matrices and takes far longer.
    """
    axis = (torch.arange(size, device=theta.device, dtype=theta.dtype) + 0.5) * 2 / size - 1
    column, row, shift = theta[..., None, None].unbind(2)
    x, y = (column * axis + row * axis[:, None] + shift).unbind(1)
    return torch.stack([x, y], -1)


def warp(
    maps: Tensor, theta: Tensor, size: int, mode: str = "bilinear", padding: str = "border"
) -> Tensor:
    """Return maps [N, C, H, W] seen through theta [N, 2, 3], [N, C, size, size].

    With the identity this is bilinear interpolation to another size.
    """
    grid = places(theta, size)
    return grid_sample(maps, grid, mode=mode, padding_mode=padding, align_corners=False)


def warp_images(images: Tensor, theta: Tensor, padding: str) -> Tensor:
    """Return uint8 images [N, 3, S, S] seen through theta, bicubic: bilinear would blur them."""
    pixels = images.permute(0, 2, 3, 1).cpu().numpy()
    turned = turned_images(pixels, theta.cpu().numpy(), padding)
    return torch.from_numpy(turned).permute(0, 3, 1, 2).to(images.device)


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
