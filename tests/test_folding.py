"""Normalisations folded into convolutions: the same maps, the network untouched."""

import pytest
import torch
from torch import nn

from clflow.backbones.network import Backbone, build_backbone
from clflow.backbones.registry import BACKBONES
from clflow.backbones.settings import BackboneSettings

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
    folded = backbone.folded()
    assert norms(backbone)
    assert not norms(folded)
    for level, expected in zip(folded(images), before, strict=True):
        assert expected.std() > 0
        torch.testing.assert_close(level, expected, rtol=1e-4, atol=1e-4 * float(expected.std()))
    assert backbone.fingerprint() == fingerprint
    assert all(map(torch.equal, backbone(images), before))
