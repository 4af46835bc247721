"""A Gaussian for each location of a feature map, in closed form (PaDiM, arXiv 2011.08785)."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from clflow.detectors.flow.shrinkage import shared_weight
from clflow.detectors.flow.whitening import PackedFactors
from clflow.detectors.fyd.settings import DensitySettings

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
