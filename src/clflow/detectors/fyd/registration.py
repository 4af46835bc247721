"""Rigid registration of images to a template, in closed form: turns tried out, shifts by FFT.

The template is the mean of the registered good images, begun from the one the others fit best.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from clflow.detectors.fyd.correlation import correlate, vertex, windowed
from clflow.detectors.fyd.settings import RegistrationSettings
from clflow.detectors.fyd.warp import chain, inverse, similarity, warp

_CHUNK = 16
_CANDIDATES = 3
_OFFSETS = (-3, -2, -1, 0, 1, 2, 3)
# sides in pixels of the first two searches; steps of the later ones in parts of the first one's
_COARSE, _MIDDLE = 32, 64
_FINENESS = (4, 16)


class Registration(nn.Module):
    """The template and how images are brought onto it."""

    def __init__(self, settings: RegistrationSettings) -> None:
        super().__init__()
        self.settings = settings
        self.size = settings.size
        self.step = 2 * math.pi / settings.turns
        self.template: Tensor
        self.register_buffer("template", torch.zeros(settings.size, settings.size))

    def fit(self, images: Tensor) -> "Registration":
        """Make the template from good images [N, C, size, size]."""
        self.template.copy_(self._first(images))
        for _ in range(self.settings.rounds):
            theta = _centred(self(images))
            aligned = warp(images, theta, images.shape[-1])
            self.template.copy_(windowed(aligned.mean((0, 1), keepdim=True)[0])[0])
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Return the maps theta [N, 2, 3] that bring images [N, C, size, size] into place."""
        return torch.cat([self._register(part.mean(1)) for part in images.split(_CHUNK)])

    def _first(self, images: Tensor) -> Tensor:
        """Return which of some images the others fit best, windowed."""
        some = windowed(images[: self.settings.seeds].mean(1))
        coarse = _shrunk(some, _COARSE)
        fits = [self._coarse(coarse, each)[0].amax(1).sum() for each in coarse]
        return some[int(torch.stack(fits).argmax())]

    def _register(self, grey: Tensor) -> Tensor:
        """Search coarsely all around, then finer and finer near the best turns."""
        fine = windowed(grey)
        correlation, angles = self._coarse(_shrunk(fine, _COARSE), self._template(_COARSE))
        # turns that fit better than their neighbours
        higher = torch.maximum(correlation.roll(1, 1), correlation.roll(-1, 1))
        peaks = correlation.masked_fill(correlation < higher, -torch.inf)
        candidates = angles.gather(1, peaks.topk(_CANDIDATES, 1).indices)
        middle, template = _shrunk(fine, _MIDDLE), self._template(_MIDDLE)
        candidates = self._best_of(middle, template, candidates, self.step / _FINENESS[0])
        angle = self._best_of(fine, self.template, candidates, self.step / _FINENESS[1])
        return _rigid(angle[:, 0], self._match(fine, self.template, angle)[1][:, 0])

    def _template(self, size: int) -> Tensor:
        return _shrunk(self.template[None], size)[0]

    def _match(self, images: Tensor, template: Tensor, angles: Tensor) -> tuple[Tensor, Tensor]:
        return correlate(images, template, angles, self.settings.reach)

    def _coarse(self, images: Tensor, template: Tensor) -> tuple[Tensor, Tensor]:
        every = torch.arange(self.settings.turns, device=images.device) * self.step
        angles = every.expand(len(images), -1)
        return self._match(images, template, angles)[0], angles

    def _best_of(self, images: Tensor, template: Tensor, candidates: Tensor, step: float) -> Tensor:
        """Return the best turn [N, 1] near any of the candidates [N, K], between steps."""
        offsets = torch.tensor(_OFFSETS, device=images.device) * step
        angles = candidates[:, :, None] + offsets
        found = self._match(images, template, angles.flatten(1))[0].reshape(angles.shape)
        rows, winner = torch.arange(len(images)), found.amax(2).argmax(1)
        curve, angle = found[rows, winner], angles[rows, winner]
        middle = curve.argmax(1).clamp(1, len(_OFFSETS) - 2)
        left, centre, right = (curve[rows, middle + side] for side in (-1, 0, 1))
        return (angle[rows, middle] + step * vertex(left, centre, right))[:, None]


def _shrunk(images: Tensor, size: int) -> Tensor:
    return windowed(avg_pool2d(images[:, None], images.shape[-1] // size)[:, 0])


def _centred(theta: Tensor) -> Tensor:
    """Return the maps moved together so that, on average, an image's centre stays in the centre."""
    centre = inverse(theta)[:, :, 2].mean(0, keepdim=True)
    return chain(theta, similarity(theta.new_zeros(1), theta.new_ones(1), centre).expand_as(theta))


def _rigid(angle: Tensor, shift: Tensor) -> Tensor:
    """Return the maps of turns [N] followed by shifts [N, 2] in the turned frame."""
    turn = similarity(angle, torch.ones_like(angle), torch.zeros_like(shift))
    return torch.cat([turn[:, :, :2], turn[:, :, :2] @ shift[:, :, None]], 2)
