"""Spatial transformers and the trainable copy of a backbone's stages."""

import math

import pytest
import torch
from flow_cases import seeded
from hypothesis import given, settings
from hypothesis import strategies as st

from clflow.alignment.learned import Transformer
from clflow.alignment.settings import TransformerSettings
from clflow.alignment.warp import identity
from clflow.detectors.gaussian.fine import AlignedNetwork, stages_of
from clflow.features.backbone import Backbone, build_backbone
from clflow.features.registry import BackboneSettings

BACKBONES = [
    "efficientnet_lite0",
    "resnet18",
    pytest.param("wide_resnet50_2", marks=pytest.mark.slow),
]
BOUNDS = TransformerSettings(angle=20, shift=0.1, scale=1.2, axes="each")


def backbone(name: str = "resnet18") -> Backbone:
    return build_backbone(BackboneSettings(name=name, weights="random"))


def images(count: int = 2, size: int = 64) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=seeded())


@pytest.mark.parametrize("name", BACKBONES)
def test_stages_in_turn_are_the_backbone(name: str) -> None:
    network = AlignedNetwork(backbone(name), 64, None, seeded())
    for ours, theirs in zip(network.features(images()), backbone(name)(images()), strict=True):
        torch.testing.assert_close(ours, theirs.clone(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", BACKBONES)
def test_transformers_start_as_the_identity(name: str) -> None:
    network = AlignedNetwork(backbone(name), 64, BOUNDS, seeded())
    levels, thetas = network(images())
    assert len(network.transformers) == 3
    for theta in thetas:
        torch.testing.assert_close(theta, identity(2))
    for warped, ours, theirs in zip(
        levels, network.features(images()), backbone(name)(images()), strict=True
    ):
        torch.testing.assert_close(warped, theirs.clone(), rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(ours, theirs.clone(), rtol=1e-3, atol=1e-3)


def test_stages_are_copies() -> None:
    original = backbone()
    before = original.fingerprint()
    network = AlignedNetwork(original, 64, None, seeded())
    for parameter in network.release():
        parameter.data.zero_()
    assert original.fingerprint() == before


@pytest.mark.parametrize("name", BACKBONES)
def test_all_but_the_stem_learns(name: str) -> None:
    network = AlignedNetwork(backbone(name), 64, BOUNDS, seeded())
    assert not any(p.requires_grad for p in network.stages.parameters())
    network.release()
    frozen = {n for n, p in network.stages.named_parameters() if not p.requires_grad}
    assert frozen
    assert all(name.startswith("0.") for name in frozen)
    assert "0.0.weight" in frozen
    network(images())[0][-1].square().sum().backward()
    gradients = [p.grad is not None for p in network.parameters() if p.requires_grad]
    # the deepest level's own warp is the last: all transformers reach it
    assert all(gradients)


def test_normalisation_keeps_its_statistics_in_training() -> None:
    network = AlignedNetwork(backbone(), 64, BOUNDS, seeded()).train()
    before = {name: value.clone() for name, value in network.stages.named_buffers()}
    network(images())
    assert before
    for name, value in network.stages.named_buffers():
        assert torch.equal(value, before[name])


def test_features_are_warped_back_to_the_place_they_were_seen_at() -> None:
    network = AlignedNetwork(backbone(), 128, BOUNDS, seeded())
    image = torch.full((1, 3, 128, 128), 120, dtype=torch.uint8)
    image[..., 28:44, 84:100] = 255
    plain = AlignedNetwork(backbone(), 128, None, seeded())
    with torch.no_grad():
        for transformer in network.transformers:
            transformer.head.bias.copy_(torch.tensor([0.9, 0.3, -0.3, 0.0, 0.0]))  # type: ignore[union-attr, operator]
    blank = torch.full_like(image, 120)
    for back, warped, still in zip(
        (a - b for a, b in zip(network.features(image), network.features(blank), strict=True)),
        (a - b for a, b in zip(network(image)[0], network(blank)[0], strict=True)),
        (a - b for a, b in zip(plain.features(image), plain.features(blank), strict=True)),
        strict=True,
    ):
        wanted = centre_of(still)
        assert (centre_of(back) - wanted).norm() < 0.12
        assert (centre_of(warped) - wanted).norm() > 0.14


def centre_of(maps: torch.Tensor) -> torch.Tensor:
    """Return the centre of mass (row, column), in half sides from the middle."""
    mass = maps.detach().square().sum((0, 1))
    axis = (torch.arange(len(mass)) + 0.5) * 2 / len(mass) - 1
    return torch.stack([(mass.sum(1) * axis).sum(), (mass.sum(0) * axis).sum()]) / mass.sum()


@settings(max_examples=15, deadline=None)
@given(
    st.floats(0, 180),
    st.floats(0, 0.5),
    st.floats(1, 2),
    st.sampled_from(["one", "each"]),
    st.integers(0, 99),
)
def test_predictions_stay_within_their_bounds(
    angle: float, shift: float, scale: float, axes: str, seed: int
) -> None:
    bounds = TransformerSettings.model_validate(
        {"angle": angle, "shift": shift, "scale": scale, "axes": axes}
    )
    transformer = Transformer(3, 16, bounds, seeded(seed))
    torch.nn.init.normal_(transformer.head.weight, std=10, generator=seeded(seed))
    theta = transformer(torch.randn(20, 3, 16, 16, generator=seeded(seed))).detach()
    factors = theta[:, :, :2].norm(dim=1)
    assert factors.max() <= scale + 1e-4
    assert factors.min() >= 1 / scale - 1e-4
    assert theta[:, :, 2].abs().max() <= 2 * shift + 1e-6
    turned = torch.atan2(theta[:, 1, 0], theta[:, 0, 0]).abs()
    assert turned.max() <= math.radians(angle) + 1e-4
    if axes == "one":
        torch.testing.assert_close(factors[:, 0], factors[:, 1])


def test_weights_come_from_the_generator_alone() -> None:
    torch.manual_seed(1)
    one = Transformer(3, 16, BOUNDS, seeded(5)).state_dict()
    torch.manual_seed(2)
    same, other = (Transformer(3, 16, BOUNDS, seeded(seed)).state_dict() for seed in (5, 6))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_stages_end_at_the_levels_that_are_read() -> None:
    chosen = build_backbone(
        BackboneSettings(name="efficientnet_lite0", weights="random", levels=(2, 3))
    )
    assert len(stages_of(chosen)) == 2
    network = AlignedNetwork(chosen, 64, None, seeded())
    assert network.channels == [40, 112]
