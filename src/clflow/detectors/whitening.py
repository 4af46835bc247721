"""Whitening of standardised residuals: one factor, one per block of locations, or low-rank."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from clflow.detectors.flow.settings import NormalizationSettings


def shared_weight(prior: float, channels: int, images: int) -> float:
    """Return the weight of the shared covariance, prior C / (prior C + N), between 0 and 1.

    It is that of the posterior mean under an inverse Wishart prior around the shared covariance
    which is worth `prior` images per channel: the fewer images there are, the less they decide.
    """
    worth = prior * channels
    return worth / (worth + images) if worth > 0 else 0.0


Item = TypeVar("Item")


def each_on_one_thread(work: Callable[[Item], None], items: Iterable[Item]) -> None:
    """Do the work of each item, as many at once as torch has threads, each on one of them.

    LAPACK takes small matrices one after another and cannot use more threads for one.
    """
    count = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for _ in pool.map(work, items):
                pass
    finally:
        torch.set_num_threads(count)


# places whose moments are held at once
_PLACES = 64


@dataclass(frozen=True, eq=False)
class Residuals:
    """Good images' residuals (x - mean) / scale, computed for a few places at a time.

    Attributes:
        flat: features [N, C, L] of any precision.
        mean: [C, L].
        scale: [C].
    """

    flat: Tensor
    mean: Tensor
    scale: Tensor

    @property
    def places(self) -> int:
        """How many places L there are."""
        return self.flat.shape[2]

    def __getitem__(self, places: slice) -> Tensor:
        """Return the residuals [N, C, P] at some places."""
        return (self.flat[:, :, places].float() - self.mean[:, places]) / self.scale[:, None]

    def chunks(self) -> Iterator[slice]:
        """Yield all places, some at a time."""
        for start in range(0, self.places, _PLACES):
            yield slice(start, start + _PLACES)

    def shared_weight(self, prior: float) -> float:
        """Return the weight of the covariance that all places share."""
        return shared_weight(prior, self.flat.shape[1], len(self.flat))

    def shared_moments(self) -> Tensor:
        """Return the second moments [C, C] over all images and places."""
        parts = (self[places] for places in self.chunks())
        moments = [torch.einsum("ncp,ndp->cd", part, part) for part in parts]
        return torch.stack(moments).sum(0) / (len(self.flat) * self.places)


class GlobalWhitening(nn.Module):
    """One inverse Cholesky factor for all locations, packed in half precision."""

    def __init__(self, channels: int, settings: NormalizationSettings) -> None:
        super().__init__()
        self.epsilon = settings.epsilon
        self.factor = PackedFactors(1, channels)

    def fit(self, residuals: Residuals) -> None:
        """Fit on good images."""
        self.factor.pack(slice(None), residuals.shared_moments()[None], self.epsilon)

    def forward(self, residual: Tensor) -> Tensor:
        """Return whitened residuals [N, C, H, W]."""
        return (self.factor.matrices() @ residual.flatten(2)).reshape_as(residual)


class BlockWhitening(nn.Module):
    """A factor per block of locations, of the shrunk covariance pooled over the block.

    At the lower and right border a block may be smaller.
    """

    def __init__(
        self, channels: int, size: tuple[int, int], settings: NormalizationSettings
    ) -> None:
        super().__init__()
        self.settings = settings
        self.size = size
        down, across = (math.ceil(side / settings.block) for side in size)
        self.factor = PackedFactors(down * across, channels)

    def fit(self, residuals: Residuals) -> None:
        """Fit on good images."""
        weight, start = residuals.shared_weight(self.settings.prior), 0
        shared = residuals.shared_moments()
        for moments in self._block_moments(residuals):
            shrunk = (1 - weight) * moments + weight * shared
            rows = slice(start, start + len(shrunk))
            self.factor.pack(rows, shrunk, self.settings.epsilon)
            start = rows.stop

    def forward(self, residual: Tensor) -> Tensor:
        """Return whitened residuals [N, C, H, W]."""
        blocks = to_blocks(residual, self.settings.block)
        return from_blocks(self.factor.matrices() @ blocks, self.settings.block, residual.shape)

    def _block_moments(self, residuals: Residuals) -> Iterator[Tensor]:
        """Yield the second moments [blocks, C, C] of a row of blocks at a time."""
        (height, width), block = self.size, self.settings.block
        for start in range(0, height * width, block * width):
            residual = residuals[start : start + block * width].unflatten(2, (-1, width))
            blocks = to_blocks(residual, block)
            cells = to_blocks(residual.new_ones(1, 1, *residual.shape[2:]), block)
            yield blocks @ blocks.mT / (len(residual) * cells.sum(2, keepdim=True))


class LowRankWhitening(nn.Module):
    """One factor for all locations, then a correction of a few directions at each location.

    In coordinates whitened by the shared factor, a location's covariance is approximated by its
    `rank` largest principal directions V and the mean variance of the others, as in probabilistic
    PCA (Tipping and Bishop, Journal of the Royal Statistical Society B 61, 1999, eq. 7 and 8), and
    shrunk towards the identity: x -> c x + V ((d - c) * V'x) with d and c the inverse roots of the
    shrunk variances. Directions are kept in half precision.
    """

    def __init__(
        self, channels: int, size: tuple[int, int], settings: NormalizationSettings
    ) -> None:
        super().__init__()
        self.settings = settings
        places, rank = size[0] * size[1], min(settings.rank or channels, channels)
        self.shared = GlobalWhitening(channels, settings)
        self.directions: Tensor
        self.gains: Tensor
        self.rest: Tensor
        self.register_buffer("directions", torch.zeros(places, channels, rank, dtype=torch.float16))
        self.register_buffer("gains", torch.zeros(places, rank, 1))
        self.register_buffer("rest", torch.ones(places, 1, 1))
        self._unpacked: Tensor | None = None
        self.register_load_state_dict_post_hook(_forget)

    def fit(self, residuals: Residuals) -> None:
        """Fit on good images."""
        self.shared.fit(residuals)
        weight, shared = residuals.shared_weight(self.settings.prior), self.shared.factor.matrices()

        def fit_places(places: slice) -> None:
            self._fit_places(places, shared @ residuals[places], weight)

        each_on_one_thread(fit_places, residuals.chunks())
        self.gains -= self.rest
        self._unpacked = None

    def _fit_places(self, places: slice, white: Tensor, weight: float) -> None:
        rank = self.directions.shape[2]
        columns = white.permute(2, 1, 0)
        moments = columns @ columns.mT / len(white)
        variances, directions = principal_directions(moments, rank)
        others = max(1, moments.shape[1] - rank)
        rest = (moments.diagonal(dim1=1, dim2=2).sum(1) - variances.sum(1)) / others
        self.rest[places, 0, 0] = self._inverse_root(rest, weight)
        self.directions[places] = directions.half()
        self.gains[places, :, 0] = self._inverse_root(variances, weight)

    def forward(self, residual: Tensor) -> Tensor:
        """Return whitened residuals [N, C, H, W]."""
        # rows before directions: for one image, twice as fast as columns after them
        rows, directions = self._rows(residual.flatten(2)), self._directions()
        along = self.gains.mT * (rows @ directions)
        white = torch.baddbmm(self.rest * rows, along, directions.mT)
        return white.permute(1, 2, 0).reshape_as(residual)

    def _rows(self, residual: Tensor) -> Tensor:
        """Return residuals [N, C, L] whitened by the shared factor as rows [L, N, C]."""
        factor = self.shared.factor.matrices()[0].T
        rows = residual.new_empty(residual.shape[2], len(residual), residual.shape[1])
        # each image's rows are written where they belong: to copy them there takes longer
        for image, own in zip(residual, rows.unbind(1), strict=True):
            torch.mm(image.T, factor, out=own)
        return rows

    def _inverse_root(self, variance: Tensor, weight: float) -> Tensor:
        shrunk = (1 - weight) * variance.clamp_min(0) + weight
        return (shrunk + self.settings.epsilon).rsqrt()

    def _directions(self) -> Tensor:
        if self._unpacked is None or self._unpacked.device != self.directions.device:
            self._unpacked = self.directions.float()
        return self._unpacked


class PackedFactors(nn.Module):
    """Lower triangular matrices [groups, C, C], packed in half precision."""

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.packed: Tensor
        packed = channels * (channels + 1) // 2
        self.register_buffer("packed", torch.zeros(groups, packed, dtype=torch.float16))
        self._unpacked: Tensor | None = None
        self.register_load_state_dict_post_hook(_forget)

    def pack(self, rows: slice, covariance: Tensor, epsilon: float) -> None:
        """Keep the inverse Cholesky factors of covariance + epsilon I [groups, C, C]."""
        identity = torch.eye(self.channels, device=covariance.device)
        factor = torch.linalg.cholesky(covariance + epsilon * identity)
        inverse = torch.linalg.solve_triangular(factor, identity.expand_as(factor), upper=False)
        down, across = self._lower()
        self.packed[rows] = inverse[:, down, across].half()
        self._unpacked = None

    def matrices(self) -> Tensor:
        """Return the matrices [groups, C, C] in single precision, made once."""
        if self._unpacked is None or self._unpacked.device != self.packed.device:
            shape = (len(self.packed), self.channels, self.channels)
            matrices = torch.zeros(shape, device=self.packed.device)
            down, across = self._lower()
            matrices[:, down, across] = self.packed.float()
            self._unpacked = matrices
        return self._unpacked

    def _lower(self) -> tuple[Tensor, Tensor]:
        down, across = torch.tril_indices(
            self.channels, self.channels, device=self.packed.device
        ).unbind()
        return down, across


def new_whitening(
    channels: int, size: tuple[int, int], settings: NormalizationSettings
) -> GlobalWhitening | BlockWhitening | LowRankWhitening | None:
    """Return the whitening that the settings ask for, None where channels are only scaled."""
    if settings.covariance == "diagonal":
        return None
    if settings.covariance == "global":
        return GlobalWhitening(channels, settings)
    if settings.rank is None:
        return BlockWhitening(channels, size, settings)
    return LowRankWhitening(channels, size, settings)


def principal_directions(moments: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the largest eigenvalues [P, count] of symmetric [P, C, C] and their vectors."""
    values, vectors = torch.linalg.eigh(moments)
    return values[:, -count:], vectors[:, :, -count:]


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


def _forget(module: nn.Module, _: object) -> None:
    module._unpacked = None  # type: ignore[assignment]
