"""Unread blocks cut, normalisations folded, padding in kernels: maps and network stay the same."""

from importlib import import_module

import pytest
import torch
from torch import nn

from clflow.features.backbone import (
    Backbone,
    HalvingConv2d,
    build_backbone,
    cut,
    pad_in_kernels,
    pads_in_kernel,
)
from clflow.features.registry import BACKBONES, BackboneSettings

Conv2dSame = import_module("timm.layers").Conv2dSame  # after what makes torchvision importable

CONVOLUTIONAL = [name for name, spec in BACKBONES.items() if not spec.transformer]


def learned(name: str) -> Backbone:
    """Return a backbone whose normalisations are not those of a new network."""
    backbone = build_backbone(BackboneSettings(name=name, weights="random"))
    generator = torch.Generator().manual_seed(0)
    for norm in norms(backbone):
        for values in (norm.weight, norm.running_var):
            assert values is not None
            nn.init.uniform_(values, 0.5, 1.5, generator=generator)
        for values in (norm.bias, norm.running_mean):
            assert values is not None
            nn.init.normal_(values, std=0.3, generator=generator)
    return backbone


def norms(backbone: Backbone) -> list[nn.BatchNorm2d]:
    return [m for m in backbone.network.modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_maps_stay_and_normalisations_go(name: str) -> None:
    backbone = learned(name)
    images = torch.randint(256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(1))
    fingerprint, before = backbone.fingerprint(), backbone(images)
    lean = backbone.lean()
    assert norms(backbone)
    assert not norms(lean)
    for level, expected in zip(lean(images), before, strict=True):
        assert expected.std() > 0
        torch.testing.assert_close(level, expected, rtol=1e-4, atol=1e-4 * float(expected.std()))
    assert backbone.fingerprint() == fingerprint
    assert all(map(torch.equal, backbone(images), before))


@pytest.mark.parametrize(("levels", "blocks"), [((0,), 1), ((1, 2, 3), 5), ((4,), 7)])
def test_blocks_past_the_last_level_are_cut(levels: tuple[int, ...], blocks: int) -> None:
    settings = BackboneSettings(name="efficientnet_lite0", weights="random", levels=levels)
    backbone = build_backbone(settings)
    images = torch.randint(256, (1, 3, 64, 64), generator=torch.Generator().manual_seed(1))
    before = backbone(images)
    cut(backbone.network)
    assert len(backbone.network.blocks) == blocks  # type: ignore[arg-type]
    assert all(map(torch.equal, backbone(images), before))


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [(8, 12), (7, 9), (8, 7), (5, 16)])
def test_a_kernel_that_pads_is_the_padded_convolution(kernel: int, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(kernel)
    padded = Conv2dSame(6, 6, kernel, stride=2, groups=3).double()
    maps = torch.randn(2, 6, *size, generator=generator, dtype=torch.float64)
    assert pads_in_kernel(padded)
    torch.testing.assert_close(HalvingConv2d(padded)(maps), padded(maps))


@pytest.mark.parametrize(
    "convolution",
    [nn.Conv2d(3, 3, 3, stride=2), Conv2dSame(3, 3, 3), Conv2dSame(3, 3, 4, stride=2)],
)
def test_other_convolutions_stay(convolution: nn.Conv2d) -> None:
    network = nn.Sequential(convolution)
    pad_in_kernels(network)
    assert network[0] is convolution


def test_images_of_odd_sides_have_the_same_maps() -> None:
    backbone = learned("efficientnet_lite0")
    images = torch.randint(256, (1, 3, 75, 98), generator=torch.Generator().manual_seed(1))
    for level, expected in zip(backbone.lean()(images), backbone(images), strict=True):
        torch.testing.assert_close(level, expected, rtol=1e-4, atol=1e-4 * float(expected.std()))
