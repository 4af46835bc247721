"""A fixed affine map of features, fitted in closed form: standardisation or shrunk whitening."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from clflow.detectors.flow.settings import NormalizationSettings

_CHUNK = 128


class Normalization(nn.Module):
    """x -> W (x - mean) / scale, with W the inverse Cholesky factor of a shrunk covariance.

    Mean and covariance are global or per location, the covariance also per block of locations; at
    the lower and right border a block may be smaller. The factors are kept in half precision,
    packed, also before they are saved: a loaded detector scores as the fitted one.
    """

    def __init__(
        self, channels: int, size: tuple[int, int], settings: NormalizationSettings
    ) -> None:
        super().__init__()
        self.settings = settings
        self.size = size
        cells = size[0] * size[1]
        down, across = (math.ceil(side / settings.block) for side in size)
        groups = {"diagonal": 0, "global": 1, "location": down * across}[settings.covariance]
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
            return self._whiten_blocks(flat.reshape_as(features))
        return flat.reshape_as(features)

    def _whiten_blocks(self, residual: Tensor) -> Tensor:
        blocks = to_blocks(residual, self.settings.block)
        return from_blocks(self._matrices() @ blocks, self.settings.block, residual.shape)

    def _with_mean(self, flat: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        means = self.mean.expand(-1, flat.shape[2]).split(_CHUNK, dim=1)
        return zip(_chunks(flat), means, strict=True)

    def _block_moments(self, flat: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield a row of blocks at a time: residuals' second moments summed, [blocks, C, C], and
        over how many locations, [blocks, 1, 1].
        """
        (height, width), block = self.size, self.settings.block
        means = self.mean.expand(-1, flat.shape[2])
        for start in range(0, height * width, block * width):
            strip = slice(start, start + block * width)
            residual = (flat[:, :, strip].float() - means[:, strip]) / self.scale[:, None]
            blocks = to_blocks(residual.unflatten(2, (-1, width)), block)
            cells = to_blocks(residual.new_ones(1, 1, residual.shape[2] // width, width), block)
            yield blocks @ blocks.mT / len(flat), cells.sum(2, keepdim=True)

    def _fit_factor(self, flat: Tensor) -> None:
        settings = self.settings
        if settings.covariance == "diagonal":
            return
        shared = torch.stack([moments.sum(0) for moments, _ in self._block_moments(flat)]).sum(0)
        shared /= flat.shape[2]
        if settings.covariance == "global":
            self.factor.copy_(_packed_factor(shared[None], settings.epsilon))
            return
        start = 0
        for moments, cells in self._block_moments(flat):
            shrunk = (1 - settings.shrinkage) * moments / cells + settings.shrinkage * shared
            self.factor[start : start + len(shrunk)] = _packed_factor(shrunk, settings.epsilon)
            start += len(shrunk)

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


def to_blocks(maps: Tensor, block: int) -> Tensor:
    """Return the columns of maps [N, C, H, W] by block of locations [blocks, C, block² N]."""
    height, width = maps.shape[2:]
    padded = pad(maps, (0, -width % block, 0, -height % block))
    cells = padded.unflatten(3, (-1, block)).unflatten(2, (-1, block))
    return cells.permute(2, 4, 1, 3, 5, 0).flatten(3).flatten(0, 1)


def from_blocks(blocks: Tensor, block: int, shape: Sequence[int]) -> Tensor:
    """Return the maps of `shape` (N, C, H, W) that `to_blocks` took apart."""
    count, channels, height, width = shape
    grid = (-(-height // block), -(-width // block))
    cells = blocks.unflatten(0, grid).unflatten(3, (block, block, count))
    maps = cells.permute(5, 2, 0, 3, 1, 4).reshape(
        count, channels, grid[0] * block, grid[1] * block
    )
    return maps[:, :, :height, :width]


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
