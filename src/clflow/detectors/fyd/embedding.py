"""One map from several levels: brought to one grid, some channels chosen (PaDiM)."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from clflow.detectors.flow.features import as_levels
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
    batches = [as_levels(levels, slice(start, start + _CHUNK), size)[0] for start in starts]
    return torch.cat([batch[:, channels].half() for batch in batches])
