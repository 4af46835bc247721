"""TensorFlow's "same" padding of halving convolutions, made part of their kernels."""

from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from clflow.torchvision_shim import ensure_torchvision

ensure_torchvision()

from timm.layers import Conv2dSame  # noqa: E402  (needs torchvision)


class HalvingConv2d(nn.Module):
    """A convolution of stride 2 that pads as TensorFlow does, without a padded copy of its input.

    An even side is padded by one less before than behind. With a row of zeros before the others
    the kernel may be padded by the same on both ends; an odd side is, and needs no such row.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(pad(convolution.weight.detach(), (1, 0, 1, 0)))
        self.bias = convolution.bias
        self.padding = tuple(side // 2 for side in convolution.kernel_size)
        self.groups = convolution.groups

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps [N, C, ceil(H / 2), ceil(W / 2)] of maps [N, C, H, W]."""
        down, across = (side % 2 for side in maps.shape[2:])
        weight = self.weight[:, :, down:, across:]
        return conv2d(maps, weight, self.bias, 2, self.padding, 1, self.groups)


def pads_in_kernel(convolution: nn.Module) -> bool:
    """Return whether a convolution can be one that pads in its kernel."""
    return (
        isinstance(convolution, Conv2dSame)
        and convolution.stride == (2, 2)
        and convolution.dilation == (1, 1)
        and all(side % 2 for side in convolution.kernel_size)
    )


def pad_in_kernels(network: nn.Module) -> None:
    """Replace, in place, the convolutions whose input would be copied to be padded."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if pads_in_kernel(child):
                assert isinstance(child, nn.Conv2d)
                setattr(module, name, HalvingConv2d(child))
