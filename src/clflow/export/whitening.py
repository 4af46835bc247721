"""The fixed normalisation of features in the form a graph runs fastest: constants, few products."""

import torch
from torch import Tensor, nn

from clflow.detectors.flow.normalization import Normalization
from clflow.detectors.gaussian.density import LocationGaussian
from clflow.detectors.whitening import (
    BlockWhitening,
    GlobalWhitening,
    LowRankWhitening,
    from_blocks,
    to_blocks,
)


class NormalizationGraph(nn.Module):
    """x -> W (x - mean) / scale of a fitted `Normalization`."""

    def __init__(self, fitted: Normalization) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", fitted.mean.cpu().clone())
        self.register_buffer("scale", fitted.scale.cpu().clone()[:, None])
        self.whitening = whitening_graph(fitted.whitening)

    def forward(self, features: Tensor) -> Tensor:
        """Return normalised features [N, C, H, W]."""
        residual = (features.flatten(2) - self.mean) / self.scale
        return self.whitening(residual.reshape(features.shape))


def whitening_graph(fitted: nn.Module | None) -> nn.Module:
    """Return what whitens residuals [N, C, H, W] as a fitted whitening does."""
    if isinstance(fitted, LowRankWhitening):
        return LowRankGraph(fitted)
    if isinstance(fitted, BlockWhitening):
        return BlockGraph(fitted)
    return GlobalGraph(fitted) if isinstance(fitted, GlobalWhitening) else nn.Identity()


class DistanceGraph(nn.Module):
    """The Mahalanobis distance at each location of a fitted `LocationGaussian`."""

    def __init__(self, fitted: LocationGaussian) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.factor: Tensor
        self.register_buffer("mean", fitted.mean.cpu().clone())
        self.register_buffer("scale", fitted.scale.cpu().clone()[:, None])
        self.register_buffer("factor", fitted.factor.matrices().cpu().half())

    def forward(self, features: Tensor) -> Tensor:
        """Return the distance [N, H, W] of features [N, C, H, W]."""
        residual = (features.flatten(2) - self.mean) / self.scale
        white = self.factor.float() @ residual.permute(2, 1, 0)
        return white.square().sum(1).sqrt().T.reshape(-1, *features.shape[2:])


class GlobalGraph(nn.Module):
    """One factor for all locations."""

    def __init__(self, fitted: GlobalWhitening) -> None:
        super().__init__()
        self.factor: Tensor
        self.register_buffer("factor", fitted.factor.matrices()[0].cpu().clone())

    def forward(self, residual: Tensor) -> Tensor:
        """Return whitened residuals [N, C, H, W]."""
        return (self.factor @ residual.flatten(2)).reshape(residual.shape)


class BlockGraph(nn.Module):
    """A factor per block of locations."""

    def __init__(self, fitted: BlockWhitening) -> None:
        super().__init__()
        self.block = fitted.settings.block
        self.factor: Tensor
        self.register_buffer("factor", fitted.factor.matrices().cpu().half())

    def forward(self, residual: Tensor) -> Tensor:
        """Return whitened residuals [N, C, H, W]."""
        blocks = self.factor.float() @ to_blocks(residual, self.block)
        return from_blocks(blocks, self.block, residual.shape)


class LowRankGraph(nn.Module):
    """One factor for all, then a few directions at each location: x -> c x + V ((d - c) * V'x)."""

    def __init__(self, fitted: LowRankWhitening) -> None:
        super().__init__()
        self.shared = GlobalGraph(fitted.shared)
        self.directions: Tensor
        self.gains: Tensor
        self.rest: Tensor
        # half the bytes in the file; the engine makes them single once, when it loads
        self.register_buffer("directions", fitted.directions.cpu().clone())
        self.register_buffer("gains", fitted.gains.mT.cpu().clone())
        self.register_buffer("rest", fitted.rest.cpu().clone())

    def forward(self, residual: Tensor) -> Tensor:
        """Return whitened residuals [N, C, H, W]."""
        # [N, C, L] to [L, N, C]
        rows = self.shared(residual).flatten(2).permute(2, 0, 1)
        directions = self.directions.float()
        along = self.gains * (rows @ directions)
        white = self.rest * rows + along @ directions.mT
        return white.permute(1, 2, 0).reshape(residual.shape)
