"""From pixels to the maps a detector compares: the lean backbone, half precision, one grid."""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from clflow.features.backbone import Backbone
from clflow.features.store import FeatureStore, Upsampling, resample


class Levels(nn.Module):
    """Maps of each level as `FeatureStore` and `as_levels` give them, without a fused grid."""

    def __init__(self, store: FeatureStore) -> None:
        super().__init__()
        backbone: Backbone = deepcopy(store.backbone.lean()).cpu()
        self.network = backbone.network
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", backbone.mean)
        self.register_buffer("std", backbone.std)
        self.spec, self.levels = backbone.spec, list(backbone.levels)
        self.square_sizes = store.square_sizes

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Return maps [N, C, H, W], rounded to half precision, of uint8 pixels [N, H, W, 3]."""
        images = (pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std
        levels = self._maps(images)
        if pixels.shape[1] != pixels.shape[2]:
            pairs = zip(levels, self.square_sizes, strict=True)
            levels = [resample(level, size) for level, size in pairs]
        # the detector keeps features in half precision and was fitted to such
        return [rounded_to_half(level) for level in levels]

    def _maps(self, images: Tensor) -> list[Tensor]:
        if not self.spec.transformer:
            return list(self.network(images))
        return self.network.forward_intermediates(  # type: ignore[operator]
            images, indices=self.levels, norm=True, stop_early=True, intermediates_only=True
        )


# 2^13 + 1: half precision keeps 13 bits less than single
_SPLIT = 8193.0


def rounded_to_half(maps: Tensor) -> Tensor:
    """Return values rounded to the 11 bits of half precision, by Veltkamp's splitting.

    OpenVINO leaves out a conversion to half precision and back.
    """
    far = maps * _SPLIT
    return far - (far - maps)


def on_one_grid(
    levels: Sequence[Tensor], grid: int | None, upsampling: Upsampling = "nearest"
) -> list[Tensor]:
    """Return the maps as they are, or fused on a grid."""
    if grid is None:
        return list(levels)
    return [torch.cat([_resampled(level, grid, upsampling) for level in levels], dim=1)]


def _resampled(level: Tensor, grid: int, upsampling: Upsampling) -> Tensor:
    """Return maps [N, C, grid, grid]; `resample` repeats cells in a way the engines are slow at."""
    if max(level.shape[2:]) < grid:
        return interpolate(level, size=(grid, grid), mode=upsampling)
    return resample(level, (grid, grid), upsampling)
