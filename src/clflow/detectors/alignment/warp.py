"""Affine maps of square images and feature maps: made, chained, inverted, applied.

A map theta [N, 2, 3] takes a place of the output to the place of the input that it shows; places
are in half sides, -1 to 1 from edge to edge, x first, as torch's `affine_grid` has it.
"""

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

_BORDERS = {"border": cv2.BORDER_REPLICATE, "reflection": cv2.BORDER_REFLECT}


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
    size = images.shape[-1]
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    border = _BORDERS[padding]
    out = np.empty((len(images), size, size, images.shape[1]), np.uint8)
    for image, matrix, into in zip(images, _in_pixels(theta, size), out, strict=True):
        pixels = image.permute(1, 2, 0).cpu().numpy()
        cv2.warpAffine(pixels, matrix, (size, size), into, flags, border)
    return torch.from_numpy(out).permute(0, 3, 1, 2).to(images.device)


def _in_pixels(theta: Tensor, size: int) -> np.ndarray:
    """Return maps [N, 2, 3] on pixel indices, whose first centre is 0, instead of half sides."""
    linear, shift = theta[:, :, :2].double().cpu(), theta[:, :, 2].double().cpu()
    centre = (size - 1) / 2
    moved = shift * size / 2 + centre - linear.sum(2) * centre
    return torch.cat([linear, moved[:, :, None]], 2).numpy()
