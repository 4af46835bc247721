"""Correlation of turned images with a template over all shifts, by FFT."""

import math

import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.fft import irfft2, rfft2

from clflow.detectors.alignment.warp import similarity, warp

_TAPER = 0.15


def disc(size: int) -> Tensor:
    """Return a window [size, size]: one inside a disc, falling to zero at its rim."""
    axis = (torch.arange(size) + 0.5) * 2 / size - 1
    radius = (axis[:, None].square() + axis.square()).sqrt()
    return 0.5 - 0.5 * torch.cos(math.pi * ((1 - radius) / _TAPER).clamp(0, 1))


def windowed(images: Tensor) -> Tensor:
    """Return grey images [N, S, S] inside the disc, without their mean, of unit norm."""
    window = disc(images.shape[-1]).to(images)
    mean = (images * window).sum((1, 2), keepdim=True) / window.sum()
    residual = (images - mean) * window
    return residual / residual.flatten(1).norm(dim=1).clamp(min=1e-6)[:, None, None]


def vertex(left: Tensor, middle: Tensor, right: Tensor) -> Tensor:
    """Return where a parabola through three equidistant values peaks, from -0.5 to 0.5 steps."""
    curvature = left - 2 * middle + right
    offset = 0.5 * (left - right) / torch.where(curvature < 0, curvature, -torch.inf)
    return offset.clamp(-0.5, 0.5)


def correlate(
    images: Tensor, template: Tensor, angles: Tensor, reach: float
) -> tuple[Tensor, Tensor]:
    """Return for each turn the best correlation over shifts, and that shift.

    Args:
        images: windowed [N, S, S].
        template: windowed [S, S].
        angles: in radians [N, K].
        reach: largest shift along an axis, in fractions of the side.

    Returns:
        Correlations [N, K] and, to sub-pixels, shifts [N, K, 2] in half sides, x first.
    """
    size = images.shape[-1]
    limit = max(1, int(reach * size))
    # at least as much margin as there are shifts to look at: the circle of the FFT must not close
    padded = next_fast_len(size + limit + 1, real=True)
    spectrum = rfft2(_turned(images, angles), s=(padded, padded))
    surface = irfft2(spectrum * rfft2(template, s=(padded, padded)).conj(), s=(padded, padded))
    near = torch.arange(-limit - 1, limit + 2, device=images.device) % padded
    best, place = _peaks(surface[..., near[:, None], near])
    return best, (place - limit - 1) * 2 / size


def _turned(images: Tensor, angles: Tensor) -> Tensor:
    """Return each image [N, S, S] turned by each of its angles [N, K], [N, K, S, S]."""
    count, tries = angles.shape
    size = images.shape[-1]
    flat = angles.flatten()
    theta = similarity(flat, torch.ones_like(flat), flat.new_zeros(len(flat), 2))
    many = images[:, None].expand(count, tries, size, size).reshape(-1, 1, size, size)
    return warp(many, theta, size, padding="zeros").reshape(count, tries, size, size)


def _peaks(surfaces: Tensor) -> tuple[Tensor, Tensor]:
    """Return height and place (x, y) of the peaks inside surfaces [N, K, S, S]."""
    size = surfaces.shape[-1]
    best, index = surfaces[..., 1:-1, 1:-1].flatten(2).max(2)
    row, column = index // (size - 2) + 1, index % (size - 2) + 1
    flat = surfaces.flatten(2)

    def at(down: int, across: int) -> Tensor:
        return flat.gather(2, ((row + down) * size + column + across)[..., None])[..., 0]

    x = column + vertex(at(0, -1), best, at(0, 1))
    y = row + vertex(at(-1, 0), best, at(1, 0))
    return best, torch.stack([x, y], -1)
