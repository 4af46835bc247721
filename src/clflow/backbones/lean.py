"""A frozen convolutional network made faster: the same maps up to rounding."""

from copy import deepcopy

import torch
from torch import nn

from clflow.backbones.cutting import cut
from clflow.backbones.folding import fold
from clflow.backbones.padding import pad_in_kernels


def lean(network: nn.Module) -> nn.Module:
    """Return a copy that does nothing of what no level needs (benchmarks/backbone.md).

    Args:
        network: timm's, with `features_only`, in evaluation mode.
    """
    copy = deepcopy(network)
    cut(copy)
    fold(copy)
    pad_in_kernels(copy)
    copy.requires_grad_(False)
    return copy.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
