"""A fixed affine map of features, fitted in closed form: standardisation, then whitening."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from clflow.detectors.flow.settings import NormalizationSettings
from clflow.detectors.whitening import Residuals, new_whitening

_CHUNK = 128


class Normalization(nn.Module):
    """x -> W (x - mean) / scale.

    Mean and covariance are global or per location, the covariance also per block of locations or of
    low rank. Factors are kept in half precision, also before they are saved: a loaded detector
    scores as the fitted one.
    """

    def __init__(
        self, channels: int, size: tuple[int, int], settings: NormalizationSettings
    ) -> None:
        super().__init__()
        self.settings = settings
        self.size = size
        places = size[0] * size[1] if settings.mean == "location" else 1
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(channels, places))
        self.register_buffer("scale", torch.ones(channels))
        self.whitening = new_whitening(channels, size, settings)

    def fit(self, features: Tensor) -> "Normalization":
        """Fit on good images' features [N, C, H, W]."""
        flat = features.flatten(2)
        mean = torch.cat([chunk.mean(0) for chunk in _chunks(flat)], dim=1)
        self.mean.copy_(mean if self.settings.mean == "location" else mean.mean(1, keepdim=True))
        expanded = self.mean.expand(-1, flat.shape[2])
        pairs = zip(_chunks(flat), expanded.split(_CHUNK, dim=1), strict=True)
        squares = [((x - mu) ** 2).mean(0).sum(1) for x, mu in pairs]
        variance = torch.stack(squares).sum(0) / flat.shape[2]
        self.scale.copy_(variance.sqrt() + self.settings.epsilon)
        if self.whitening is not None:
            self.whitening.fit(Residuals(flat, expanded, self.scale))
        return self

    def forward(self, features: Tensor) -> Tensor:
        """Return normalised features [N, C, H, W]."""
        residual = (features.flatten(2) - self.mean) / self.scale[:, None]
        residual = residual.reshape_as(features)
        return residual if self.whitening is None else self.whitening(residual)


def _chunks(flat: Tensor) -> Iterator[Tensor]:
    return (chunk.float() for chunk in flat.split(_CHUNK, dim=2))
