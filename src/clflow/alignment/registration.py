"""Rigid registration of images to a template: all turns and shifts by FFT, then refined.

The template is the mean of the registered good images, begun from the one the others fit best.
"""

import math
from functools import lru_cache
from typing import Any

import torch
from scipy.fft import next_fast_len
from torch import Tensor, nn
from torch.fft import irfft2, rfft2
from torch.nn.functional import avg_pool2d, grid_sample

from clflow.alignment.settings import RegistrationSettings
from clflow.alignment.warp import chain, inverse, similarity, warp

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
        self.size = size = len(template)
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


# poses do not move where the template changes less than this share of its strongest change
_LEAST_CHANGE = 1e-3


class Refinement(nn.Module):
    """Brings poses of images closer to a template.

    Args:
        template: windowed [S, S].
    """

    def __init__(self, template: Tensor) -> None:
        super().__init__()
        self.size = len(template)
        window, flat = disc(self.size).to(template).flatten(), template.flatten()
        solve = torch.linalg.pinv(_descent(template).T * window[:, None], rtol=_LEAST_CHANGE)
        self.places: Tensor
        self.moments: Tensor
        self.totals: Tensor
        self.offsets: Tensor
        self.register_buffer("places", _places(template), persistent=False)
        # of an image z seen through a pose: solve (z w), z w t, z w, z w^2
        rows = [*(solve * window), flat * window, window, window.square()]
        self.register_buffer("moments", torch.stack(rows, 1), persistent=False)
        self.register_buffer("totals", self.moments.sum(0), persistent=False)
        self.register_buffer("offsets", solve @ flat, persistent=False)

    def forward(self, images: Tensor, poses: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """Bring poses [N, 3] of grey images [N, S, S] closer by at least one step.

        Returns:
            The poses [N, 3], and the correlation with the template [N] before the last step.
        """
        for _ in range(steps):
            compared = self._compared(images, poses)
            poses = _without(poses, compared[:, :3] - self.offsets)
        return poses, compared[:, 3]

    def _compared(self, images: Tensor, poses: Tensor) -> Tensor:
        """Return sums of the images seen through poses, windowed and of unit norm [N, 4]."""
        grid = (_maps(poses) @ self.places).transpose(1, 2).unflatten(1, (self.size, self.size))
        seen = grid_sample(images[:, None], grid, padding_mode="zeros", align_corners=False)
        sums, power = seen.flatten(1) @ self.moments, seen.flatten(1).square() @ self.moments[:, 5]
        mean = sums[:, 4:5] / self.totals[4]
        norm = power[:, None] - 2 * mean * sums[:, 5:6] + mean.square() * self.totals[5]
        return (sums[:, :4] - mean * self.totals[:4]) / norm.clamp(min=1e-12).sqrt()


def _places(template: Tensor) -> Tensor:
    """Return x, y and 1 of each pixel's centre [3, S * S], in half sides."""
    size = len(template)
    axis = ((torch.arange(size, device=template.device) + 0.5) * 2 / size - 1).to(template)
    x, y = axis.repeat(size), axis.repeat_interleave(size)
    return torch.stack([x, y, torch.ones_like(x)])


def _descent(template: Tensor) -> Tensor:
    """Return how a template changes with turn and shift [3, S * S]."""
    down, across = torch.gradient(template, spacing=2 / len(template))
    x, y, _ = _places(template)
    across, down = across.flatten(), down.flatten()
    return torch.stack([x * down - y * across, across, down])


def _maps(poses: Tensor) -> Tensor:
    return similarity(poses[:, 0], torch.ones_like(poses[:, 0]), poses[:, 1:])


def _without(poses: Tensor, change: Tensor) -> Tensor:
    """Return poses after the inverse of a change of the template's frame."""
    angle = poses[:, 0] - change[:, 0]
    cosine, sine = angle.cos(), angle.sin()
    x, y = change[:, 1], change[:, 2]
    moved = torch.stack([cosine * x - sine * y, sine * x + cosine * y], 1)
    return torch.cat([angle[:, None], poses[:, 1:] - moved], 1)


_CHUNK = 16
_CANDIDATES = 3
# sides in pixels of the search and of the first refinement
_COARSE, _MIDDLE = 32, 64
_MIDDLE_STEPS, _FINE_STEPS = 4, 3


class Registration(nn.Module):
    """The template and how images are brought onto it."""

    def __init__(self, settings: RegistrationSettings) -> None:
        super().__init__()
        self.settings = settings
        self.size = settings.size
        self.template: Tensor
        self.register_buffer("template", torch.zeros(settings.size, settings.size))
        self._prepare(self.template)
        self.register_load_state_dict_post_hook(_prepare_again)

    def fit(self, images: Tensor) -> "Registration":
        """Make the template from good images [N, C, size, size]."""
        self._prepare(self._first(images))
        for _ in range(self.settings.rounds):
            theta = _centred(self(images))
            aligned = warp(images, theta, images.shape[-1])
            self._prepare(windowed(aligned.mean((0, 1), keepdim=True)[0])[0])
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Return the maps theta [N, 2, 3] that bring images [N, C, size, size] into place."""
        return torch.cat([self._register(part.mean(1)) for part in images.split(_CHUNK)])

    def _prepare(self, template: Tensor) -> None:
        self.template.copy_(template)
        # what follows from the template is made again with it and not saved
        self.turned = self._coarse(_shrunk(self.template[None], _COARSE)[0])
        self.middle = Refinement(_shrunk(self.template[None], _MIDDLE)[0])
        self.fine = Refinement(self.template)

    def _coarse(self, template: Tensor) -> TurnedTemplate:
        return TurnedTemplate(template, self.settings.turns, self.settings.reach)

    def _first(self, images: Tensor) -> Tensor:
        """Return which of some images the others fit best, windowed."""
        some = windowed(images[: self.settings.seeds].mean(1))
        coarse = _shrunk(some, _COARSE)
        fits = [self._coarse(each)(coarse)[0].amax(1).sum() for each in coarse]
        return some[int(torch.stack(fits).argmax())]

    def _register(self, grey: Tensor) -> Tensor:
        """Search coarsely all around, refine the best turns, and the best of them once more."""
        fine = windowed(grey)
        candidates, there = self._candidates(_shrunk(fine, _COARSE))
        middle = _shrunk(fine, _MIDDLE).repeat_interleave(_CANDIDATES, 0)
        found = self.middle(middle, candidates, _MIDDLE_STEPS)
        candidates, fits = (each.unflatten(0, (-1, _CANDIDATES)) for each in found)
        best = candidates[torch.arange(len(fits)), fits.masked_fill(~there, -torch.inf).argmax(1)]
        poses, _ = self.fine(fine, best, _FINE_STEPS)
        return similarity(poses[:, 0], torch.ones_like(poses[:, 0]), poses[:, 1:])

    def _candidates(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the turns that fit better than their neighbours.

        Returns:
            Poses [N * candidates, 3], and which of them there are [N, candidates]: of fewer such
            turns others follow, whichever `topk` takes.
        """
        correlation, shifts = self.turned(images)
        higher = torch.maximum(correlation.roll(1, 1), correlation.roll(-1, 1))
        peaks = correlation.masked_fill(correlation < higher, -torch.inf)
        fits, turns = peaks.topk(_CANDIDATES, 1)
        rows = torch.arange(len(images), device=images.device)[:, None]
        angles = self.turned.angles[turns]
        poses = torch.cat([angles[..., None], shifts[rows, turns]], 2)
        return poses.flatten(0, 1), fits.isfinite()


def _prepare_again(registration: Registration, _: Any) -> None:
    registration._prepare(registration.template.clone())


def _shrunk(images: Tensor, size: int) -> Tensor:
    return windowed(avg_pool2d(images[:, None], images.shape[-1] // size)[:, 0])


def _centred(theta: Tensor) -> Tensor:
    """Return the maps moved together so that, on average, an image's centre stays in the centre."""
    centre = inverse(theta)[:, :, 2].mean(0, keepdim=True)
    return chain(theta, similarity(theta.new_zeros(1), theta.new_ones(1), centre).expand_as(theta))
