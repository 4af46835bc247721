"""Batch normalisations of a frozen network made part of the convolutions before them."""

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold(network: nn.Module) -> None:
    """Fold, in place, each normalisation that directly follows a convolution into it.

    It follows among the children of a module: the networks of the registry name them in the order
    they run. What else a normalisation does (timm's `BatchNormAct2d` also rectifies) stays.

    Args:
        network: in evaluation mode.
    """
    for module in list(network.modules()):
        for (name, convolution), (norm_name, norm) in pairwise(list(module.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(convolution, norm))
                setattr(module, norm_name, getattr(norm, "act", nn.Identity()))
