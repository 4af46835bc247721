"""Batch normalisations of a frozen network made part of the convolutions before them."""

from copy import deepcopy
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def folded(network: nn.Module) -> nn.Module:
    """Return a copy that gives the same maps, up to rounding, in less time.

    A normalisation that directly follows a convolution among the children of a module is folded
    into it: the networks of the registry name their children in the order they run. What else it
    does (timm's `BatchNormAct2d` also rectifies) stays.

    Args:
        network: in evaluation mode.
    """
    copy = deepcopy(network)
    for module in list(copy.modules()):
        for (name, convolution), (norm_name, norm) in pairwise(list(module.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(convolution, norm))
                setattr(module, norm_name, getattr(norm, "act", nn.Identity()))
    copy.requires_grad_(False)
    return copy.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
