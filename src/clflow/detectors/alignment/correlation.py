"""Correlation of images with a template in all turns and over all shifts, by FFT."""

import math
from functools import lru_cache

import torch
from scipy.fft import next_fast_len
from torch import Tensor, nn
from torch.fft import irfft2, rfft2

from clflow.detectors.alignment.warp import similarity, warp

_TAPER = 0.15


@lru_cache(maxsize=16)
def disc(size: int) -> Tensor:
    """Return a window [size, size]: one inside a disc, falling to zero at its rim."""
    # a tensor made in inference mode could not be used where gradients are wanted later
    with torch.inference_mode(False):
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


class TurnedTemplate(nn.Module):
    """A template in evenly spaced turns around the circle, as spectra.

    Args:
        template: windowed [S, S].
        turns: how many.
        reach: largest shift along an axis, in fractions of the side.
    """

    def __init__(self, template: Tensor, turns: int, reach: float) -> None:
        super().__init__()
        size = len(template)
        self.limit = max(1, int(reach * size))
        # a margin of all shifts that are looked at: the circle of the FFT must not close
        self.padded = next_fast_len(size + self.limit + 1, real=True)
        self.angles: Tensor
        self.spectra: Tensor
        angles = torch.arange(turns, device=template.device) * (2 * math.pi / turns)
        self.register_buffer("angles", angles, persistent=False)
        spectra = self._spectrum(_turned(template, -angles)).conj()
        self.register_buffer("spectra", spectra, persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Correlate windowed images [N, S, S].

        Returns:
            For each turn the best correlation over shifts [N, turns] and, to sub-pixels, where the
            template's centre then is in the image [N, turns, 2], in half sides, x first.
        """
        size = images.shape[-1]
        product = self._spectrum(images)[:, None] * self.spectra
        surface = irfft2(product, s=(self.padded, self.padded))
        near = torch.arange(-self.limit - 1, self.limit + 2, device=images.device) % self.padded
        best, place = _peaks(surface[..., near[:, None], near])
        return best, (place - self.limit - 1) * 2 / size

    def _spectrum(self, images: Tensor) -> Tensor:
        return rfft2(images, s=(self.padded, self.padded))


def _turned(template: Tensor, angles: Tensor) -> Tensor:
    """Return a template [S, S] turned by each angle in radians, [K, S, S]."""
    count, size = len(angles), len(template)
    theta = similarity(angles, torch.ones_like(angles), angles.new_zeros(count, 2))
    return warp(template.expand(count, 1, size, size), theta, size, padding="zeros")[:, 0]


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
