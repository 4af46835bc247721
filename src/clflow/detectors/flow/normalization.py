"""A fixed affine map of features, fitted in closed form: standardisation or shrunk whitening."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from clflow.detectors.flow.settings import NormalizationSettings

_CHUNK = 128


class Normalization(nn.Module):
    """x -> W (x - mean) / scale, with W the inverse Cholesky factor of a shrunk covariance.

    Mean and covariance are global or per location. The factors are kept in half precision, packed,
    also before they are saved: a loaded detector scores as the fitted one.
    """

    def __init__(
        self, channels: int, size: tuple[int, int], settings: NormalizationSettings
    ) -> None:
        super().__init__()
        self.settings = settings
        self.size = size
        cells = size[0] * size[1]
        groups = {"diagonal": 0, "global": 1, "location": cells}[settings.covariance]
        packed = channels * (channels + 1) // 2
        self.mean: Tensor
        self.scale: Tensor
        self.factor: Tensor
        self.register_buffer(
            "mean", torch.zeros(channels, cells if settings.mean == "location" else 1)
        )
        self.register_buffer("scale", torch.ones(channels))
        self.register_buffer("factor", torch.zeros(groups, packed, dtype=torch.float16))
        self._unpacked: Tensor | None = None
        self.register_load_state_dict_post_hook(Normalization._forget)

    def fit(self, features: Tensor) -> "Normalization":
        """Fit on good images' features [N, C, H, W]."""
        flat = features.flatten(2)
        mean = torch.cat([chunk.mean(0) for chunk in _chunks(flat)], dim=1)
        self.mean.copy_(mean if self.settings.mean == "location" else mean.mean(1, keepdim=True))
        squares = [((x - mu) ** 2).mean(0).sum(1) for x, mu in self._with_mean(flat)]
        variance = torch.stack(squares).sum(0) / flat.shape[2]
        self.scale.copy_(variance.sqrt() + self.settings.epsilon)
        self._fit_factor(flat)
        self._unpacked = None
        return self

    def forward(self, features: Tensor) -> Tensor:
        """Return normalised features [N, C, H, W]."""
        flat = (features.flatten(2) - self.mean) / self.scale[:, None]
        if self.settings.covariance == "global":
            flat = self._matrices() @ flat
        elif self.settings.covariance == "location":
            flat = (self._matrices() @ flat.permute(2, 1, 0)).permute(2, 1, 0)
        return flat.reshape_as(features)

    def _with_mean(self, flat: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        means = self.mean.expand(-1, flat.shape[2]).split(_CHUNK, dim=1)
        return zip(_chunks(flat), means, strict=True)

    def _second_moments(self, flat: Tensor) -> Iterator[Tensor]:
        """Yield the covariance of each location's standardised residuals, [cells, C, C] a chunk."""
        for x, mu in self._with_mean(flat):
            residual = ((x - mu) / self.scale[:, None]).permute(2, 1, 0)
            yield residual @ residual.mT / len(flat)

    def _fit_factor(self, flat: Tensor) -> None:
        settings = self.settings
        if settings.covariance == "diagonal":
            return
        shared = torch.stack([moment.sum(0) for moment in self._second_moments(flat)]).sum(0)
        shared /= flat.shape[2]
        if settings.covariance == "global":
            self.factor.copy_(_packed_factor(shared[None], settings.epsilon))
            return
        start = 0
        for moment in self._second_moments(flat):
            shrunk = (1 - settings.shrinkage) * moment + settings.shrinkage * shared
            self.factor[start : start + len(moment)] = _packed_factor(shrunk, settings.epsilon)
            start += len(moment)

    def _forget(self, _: object) -> None:
        self._unpacked = None

    def _matrices(self) -> Tensor:
        if self._unpacked is None or self._unpacked.device != self.factor.device:
            channels = len(self.scale)
            rows, columns = torch.tril_indices(channels, channels, device=self.factor.device)
            matrices = self.scale.new_zeros(len(self.factor), channels, channels)
            matrices[:, rows, columns] = self.factor.float()
            self._unpacked = matrices
        return self._unpacked


def _chunks(flat: Tensor) -> Iterator[Tensor]:
    return (chunk.float() for chunk in flat.split(_CHUNK, dim=2))


def _packed_factor(covariance: Tensor, epsilon: float) -> Tensor:
    """Return inverse Cholesky factors of covariance + epsilon I, packed [groups, C (C + 1) / 2]."""
    channels = covariance.shape[-1]
    identity = torch.eye(channels, device=covariance.device)
    factor = torch.linalg.cholesky(covariance + epsilon * identity)
    inverse = torch.linalg.solve_triangular(factor, identity.expand_as(factor), upper=False)
    rows, columns = torch.tril_indices(channels, channels, device=covariance.device)
    return inverse[:, rows, columns].half()


def draw_folds(count: int, folds: int, generator: torch.Generator) -> Tensor:
    """Return a fold for each of `count` images, as even as possible [N]."""
    return torch.randperm(count, generator=generator) % folds
