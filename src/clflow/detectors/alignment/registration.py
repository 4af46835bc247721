"""Rigid registration of images to a template: all turns and shifts by FFT, then refined.

The template is the mean of the registered good images, begun from the one the others fit best.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from clflow.detectors.alignment.correlation import TurnedTemplate, windowed
from clflow.detectors.alignment.refinement import Refinement
from clflow.detectors.alignment.settings import RegistrationSettings
from clflow.detectors.alignment.warp import chain, inverse, similarity, warp

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
        self._turned = self._coarse(_shrunk(self.template[None], _COARSE)[0])
        self._middle = Refinement(_shrunk(self.template[None], _MIDDLE)[0])
        self._fine = Refinement(self.template)

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
        candidates = self._candidates(_shrunk(fine, _COARSE))
        middle = _shrunk(fine, _MIDDLE).repeat_interleave(_CANDIDATES, 0)
        found = self._middle(middle, candidates, _MIDDLE_STEPS)
        candidates, fits = (each.unflatten(0, (-1, _CANDIDATES)) for each in found)
        best = candidates[torch.arange(len(fits)), fits.argmax(1)]
        poses, _ = self._fine(fine, best, _FINE_STEPS)
        return similarity(poses[:, 0], torch.ones_like(poses[:, 0]), poses[:, 1:])

    def _candidates(self, images: Tensor) -> Tensor:
        """Return the poses [N * candidates, 3] whose turn fits better than its neighbours."""
        correlation, shifts = self._turned(images)
        higher = torch.maximum(correlation.roll(1, 1), correlation.roll(-1, 1))
        peaks = correlation.masked_fill(correlation < higher, -torch.inf)
        turns = peaks.topk(_CANDIDATES, 1).indices
        rows = torch.arange(len(images), device=images.device)[:, None]
        angles = self._turned.angles[turns]
        return torch.cat([angles[..., None], shifts[rows, turns]], 2).flatten(0, 1)


def _prepare_again(registration: Registration, _: Any) -> None:
    registration._prepare(registration.template.clone())


def _shrunk(images: Tensor, size: int) -> Tensor:
    return windowed(avg_pool2d(images[:, None], images.shape[-1] // size)[:, 0])


def _centred(theta: Tensor) -> Tensor:
    """Return the maps moved together so that, on average, an image's centre stays in the centre."""
    centre = inverse(theta)[:, :, 2].mean(0, keepdim=True)
    return chain(theta, similarity(theta.new_zeros(1), theta.new_ones(1), centre).expand_as(theta))
