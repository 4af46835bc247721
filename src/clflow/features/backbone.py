"""The frozen feature extractor: a timm model, read at the levels a detector asks for.

`build_backbone` makes one from settings; `lean` and what follows it make a copy that is faster.
"""

import hashlib
from collections.abc import Sequence
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad
from torch.nn.utils.fusion import fuse_conv_bn_eval

from clflow.errors import SettingsError
from clflow.features.registry import (
    BackboneSettings,
    BackboneSpec,
    backbone_spec,
    check_levels,
    check_weights,
)
from clflow.features.torchvision_shim import ensure_torchvision
from clflow.features.weights import State, bundled_weights, local_weights

ensure_torchvision()

import timm  # noqa: E402  (needs torchvision)
from timm.layers import Conv2dSame  # noqa: E402


class Backbone(nn.Module):
    """Frozen network that turns uint8 images into feature maps.

    Mean and standard deviation of the input come from the model's own configuration.
    """

    def __init__(self, network: nn.Module, spec: BackboneSpec, levels: Sequence[int]) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.levels = tuple(levels)
        self.spec = spec
        config: dict[str, Any] = network.pretrained_cfg  # type: ignore[assignment]
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", 255 * torch.tensor(config["mean"]).view(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(config["std"]).view(1, 3, 1, 1))

    def train(self, mode: bool = True) -> "Backbone":
        """Stay in evaluation mode: the backbone is frozen."""
        return super().train(False)

    @torch.inference_mode()
    def forward(self, images: Tensor) -> list[Tensor]:
        """Return one feature map per level.

        Args:
            images: uint8 or float images, 0..255 [N, 3, H, W].

        Raises:
            SettingsError: the network takes images of another size only.
        """
        self._check_size(*images.shape[-2:])
        inputs = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        if self.spec.transformer:
            return self.network.forward_intermediates(  # type: ignore[operator]
                inputs,
                indices=list(self.levels),
                norm=True,
                stop_early=True,
                intermediates_only=True,
            )
        return self.network(inputs)

    def _check_size(self, height: int, width: int) -> None:
        size = self.spec.image_size
        if size is not None and (height, width) != (size, size):
            raise SettingsError(
                f"backbone {self.spec.timm_name!r} takes {size} x {size} images only, not "
                f"{height} x {width}: set image_size to {size}"
            )

    def lean(self) -> "Backbone":
        """Return a backbone that gives the same maps, up to rounding, in less time."""
        if self.spec.transformer:
            return self
        return Backbone(lean(self.network), self.spec, self.levels).to(self.mean.device)

    def fingerprint(self) -> str:
        """Return a SHA-256 over levels, parameters and buffers: equal means equal features."""
        digest = hashlib.sha256(repr(self.levels).encode())
        for name, value in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def build_backbone(settings: BackboneSettings) -> Backbone:
    """Return the backbone with its weights loaded, in evaluation mode.

    Raises:
        SettingsError: unknown name, levels the network does not have, or weights that cannot be
            had.
    """
    spec = backbone_spec(settings.name)
    check_weights(settings.name, settings.weights)
    levels = settings.levels or spec.levels
    check_levels(settings.name, levels)
    network = _create(settings, spec, levels)
    state = _state(settings)
    if state is not None:
        _load(network, state, settings)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Backbone(network, spec, levels)


def _create(settings: BackboneSettings, spec: BackboneSpec, levels: Sequence[int]) -> nn.Module:
    pretrained = settings.weights == "pretrained"
    options: dict[str, Any] = (
        {} if spec.transformer else {"features_only": True, "out_indices": tuple(levels)}
    )
    # initial weights are drawn from a stream of their own: global random state stays untouched
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            return timm.create_model(spec.timm_name, pretrained=pretrained, **options)
        except (OSError, RuntimeError) as error:
            message = (
                f"pretrained weights of backbone {settings.name!r} cannot be had ({error}); "
                "try again or give the path of a local weight file instead"
            )
            raise SettingsError(message) from error


def _state(settings: BackboneSettings) -> State | None:
    if settings.weights in ("pretrained", "random"):
        return None
    if settings.weights == "bundled":
        return bundled_weights()
    return local_weights(Path(settings.weights), settings.sha256)


def _load(network: nn.Module, state: State, settings: BackboneSettings) -> None:
    wanted = network.state_dict()
    missing = [
        name
        for name, value in wanted.items()
        if not name.endswith("num_batches_tracked")
        and (name not in state or state[name].shape != value.shape)
    ]
    if missing:
        message = (
            f"weights {settings.weights!r} do not fit backbone {settings.name!r}: {len(missing)} "
            f"of {len(wanted)} tensors are missing or of another shape, first {missing[0]!r}; "
            "give weights that were saved from this timm model"
        )
        raise SettingsError(message)
    network.load_state_dict({name: state.get(name, value) for name, value in wanted.items()})


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


def cut(network: nn.Module) -> None:
    """End a network, in place, with the last level that is read.

    timm's residual networks end there by themselves; its EfficientNets run all their blocks
    whatever is read.

    Args:
        network: timm's, with `features_only`.
    """
    names: list[str] = network.feature_info.module_name()  # type: ignore[operator, union-attr]
    read = [int(name.removeprefix("blocks.")) for name in names if name.startswith("blocks.")]
    if read:
        blocks = list(network.blocks.children())  # type: ignore[union-attr]
        network.blocks = nn.Sequential(*blocks[: max(read) + 1])


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
