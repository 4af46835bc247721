"""One map from several levels: brought to one grid, some channels chosen (PaDiM)."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from clflow.detectors.fyd.settings import DensitySettings
from clflow.errors import SettingsError

_CHUNK = 16


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
    starts = range(0, len(levels[0]), _CHUNK)
    batches = [[level[start : start + _CHUNK] for level in levels] for start in starts]
    return torch.cat([_embed_batch(batch, channels, size) for batch in batches])


def _embed_batch(levels: Sequence[np.ndarray], channels: Tensor, size: int) -> Tensor:
    maps = [_regrid(torch.from_numpy(np.array(level)).float(), size) for level in levels]
    return torch.cat(maps, 1)[:, channels].half()


def _regrid(maps: Tensor, size: int) -> Tensor:
    if maps.shape[-1] > size:
        return adaptive_avg_pool2d(maps, size)
    return interpolate(maps, size=(size, size), mode="nearest")
