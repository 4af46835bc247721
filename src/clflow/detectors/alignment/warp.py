"""Affine maps of square images and feature maps: made, chained, inverted, applied.

A map theta [N, 2, 3] takes a place of the output to the place of the input that it shows; places
are in half sides, -1 to 1 from edge to edge, x first, as torch's `affine_grid` has it.
"""

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

_CHUNK = 16


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
    batches = zip(images.split(_CHUNK), theta.split(_CHUNK), strict=True)
    size = images.shape[-1]
    return torch.cat(
        [
            warp(batch.float(), part, size, "bicubic", padding).round().clamp(0, 255).byte()
            for batch, part in batches
        ]
    )
