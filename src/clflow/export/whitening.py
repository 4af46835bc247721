"""The fixed normalisation of features in the form a graph runs fastest: constants, few products."""

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


def normalization_graph(fitted: Normalization) -> nn.Module:
    """Return what maps features [N, C, H, W] to columns of normalised ones [C, H W N]."""
    if isinstance(fitted.whitening, LowRankWhitening):
        return LowRankGraph(fitted, fitted.whitening)
    return NormalizationGraph(fitted)


class NormalizationGraph(nn.Module):
    """x -> W (x - mean) / scale, W for all locations, by block of them, or the identity."""

    def __init__(self, fitted: Normalization) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", fitted.mean.cpu().clone())
        self.register_buffer("scale", fitted.scale.cpu().clone()[:, None])
        self.whitening: nn.Module = nn.Identity()
        if isinstance(fitted.whitening, GlobalWhitening):
            self.whitening = GlobalGraph(fitted.whitening)
        elif isinstance(fitted.whitening, BlockWhitening):
            self.whitening = BlockGraph(fitted.whitening)

    def forward(self, features: Tensor) -> Tensor:
        """Return normalised features [C, H W N]."""
        residual = (features.flatten(2) - self.mean) / self.scale
        white: Tensor = self.whitening(residual.reshape(features.shape))
        return white.flatten(2).permute(1, 2, 0).flatten(1)


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
    """One factor for all locations, then a few directions at each: x -> c x + V ((d - c) * V'x).

    Mean and scale are part of the factor's product, one pass over memory less each.
    """

    def __init__(self, fitted: Normalization, whitening: LowRankWhitening) -> None:
        super().__init__()
        factor = whitening.shared.factor.matrices()[0].cpu() / fitted.scale.cpu()
        places = len(whitening.directions)
        mean = (factor.double() @ fitted.mean.cpu().double()).float().expand(-1, places)
        self.factor: Tensor
        self.mean: Tensor
        self.directions: Tensor
        self.gains: Tensor
        self.rest: Tensor
        self.register_buffer("factor", factor.T.contiguous())
        self.register_buffer("mean", mean.T[:, None].contiguous())
        # half the bytes in the file; the engine makes them single once, when it loads
        self.register_buffer("directions", whitening.directions.cpu().clone())
        self.register_buffer("gains", whitening.gains.mT.cpu().clone())
        self.register_buffer("rest", whitening.rest.cpu().clone())

    def forward(self, features: Tensor) -> Tensor:
        """Return normalised features [C, H W N]."""
        # rows of locations [L, N, C]: a location's directions are read for all images at once
        rows = features.flatten(2).permute(2, 0, 1) @ self.factor - self.mean
        directions = self.directions.float()
        along = self.gains * (rows @ directions)
        # a matrix is turned faster than rows of each image are moved
        return (self.rest * rows + along @ directions.mT).flatten(0, 1).T
