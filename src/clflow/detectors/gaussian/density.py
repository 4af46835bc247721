"""A Gaussian for each location of a feature map, in closed form (PaDiM, arXiv 2011.08785)."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from clflow.detectors.gaussian.settings import DensitySettings
from clflow.detectors.whitening import PackedFactors, shared_weight
from clflow.errors import SettingsError
from clflow.features.store import as_levels

_CHUNK_IMAGES = 16


def choose_channels(total: int, settings: DensitySettings, generator: torch.Generator) -> Tensor:
    """Return the channels that are kept [C].

    Raises:
        SettingsError: there are fewer than asked for.
    """
    if settings.channels is None:
        return torch.arange(total)
    if settings.channels > total:
        raise SettingsError(
            f"density.channels is {settings.channels}, but the backbone's levels have {total} "
            "channels together: set fewer, or null for all"
        )
    return torch.randperm(total, generator=generator)[: settings.channels]


def embed(levels: Sequence[np.ndarray], channels: Tensor, grid: int | None) -> Tensor:
    """Return the chosen channels of all levels on one grid, float16 [N, C, grid, grid].

    Finer levels are averaged down, coarser ones repeated.

    Args:
        levels: per level float16 [N, C, H, W].
        channels: indices into the levels' channels, one after the other [C].
        grid: cells per side, or None for those of the finest level.
    """
    size = grid or max(level.shape[-1] for level in levels)
    starts = range(0, len(levels[0]), _CHUNK_IMAGES)
    batches = [as_levels(levels, slice(start, start + _CHUNK_IMAGES), size)[0] for start in starts]
    return torch.cat([batch[:, channels].half() for batch in batches])


_CHUNK = 128


class LocationGaussian(nn.Module):
    """Mean and inverse Cholesky factor of the covariance at each of H W locations.

    The covariance is (1 - w) S_location + w S_all + epsilon I, w from `prior` and the number of
    images, of channels divided by their standard deviation over all locations where `standardise`
    asks for it. Factors are packed in half precision also before they are saved: a loaded detector
    scores as the fitted.
    """

    def __init__(self, channels: int, size: tuple[int, int], settings: DensitySettings) -> None:
        super().__init__()
        self.settings = settings
        self.size = size
        cells = size[0] * size[1]
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(channels, cells))
        self.register_buffer("scale", torch.ones(channels))
        self.factor = PackedFactors(cells, channels)

    def fit(self, features: Tensor) -> "LocationGaussian":
        """Fit on good images' features [N, C, H, W], which may stay on another device."""
        flat = features.flatten(2)
        self.mean.copy_(torch.cat([part.float().mean(0) for part in flat.split(_CHUNK, 2)], 1))
        if self.settings.standardise:
            squares = torch.stack([r.square().sum((0, 2)) for r in self._residuals(flat)]).sum(0)
            variance = squares / (len(flat) * flat.shape[2])
            self.scale.copy_(variance.sqrt().clamp(min=1e-6))
        shared = self._shared(flat) if self.settings.prior > 0 else None
        weight = shared_weight(self.settings.prior, flat.shape[1], len(flat))
        start = 0
        for moment in self._moments(flat):
            if shared is not None:
                moment = torch.lerp(moment, shared, weight)
            rows = slice(start, start + len(moment))
            self.factor.pack(rows, moment, self.settings.epsilon)
            start = rows.stop
        return self

    def forward(self, features: Tensor) -> Tensor:
        """Return the Mahalanobis distance at each location [N, H, W] of features [N, C, H, W]."""
        flat = features.flatten(2)
        factors = self.factor.matrices().split(_CHUNK)
        parts = []
        for residual, factor in zip(self._residuals(flat), factors, strict=True):
            parts.append((factor @ residual.permute(2, 1, 0)).norm(dim=1))
        return torch.cat(parts).T.reshape(len(features), *features.shape[2:])

    def _residuals(self, flat: Tensor) -> Iterator[Tensor]:
        """Yield (x - mean) / scale of some locations at a time, [N, C, cells]."""
        for part, mean in zip(flat.split(_CHUNK, 2), self.mean.split(_CHUNK, 1), strict=True):
            yield (part.to(mean.device).float() - mean) / self.scale[:, None]

    def _moments(self, flat: Tensor) -> Iterator[Tensor]:
        """Yield the covariance at some locations at a time, [cells, C, C]."""
        for residual in self._residuals(flat):
            by_cell = residual.permute(2, 1, 0)
            yield by_cell @ by_cell.mT / max(1, len(flat) - 1)

    def _shared(self, flat: Tensor) -> Tensor:
        return torch.stack([moment.sum(0) for moment in self._moments(flat)]).sum(0) / flat.shape[2]
