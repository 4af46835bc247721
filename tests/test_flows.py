"""Coupling blocks and flows against autograd, FrEIA and the published parameter counts."""

import pytest
import torch
from FrEIA.modules import AllInOneBlock
from torch import Tensor, nn
from torch.nn.functional import conv2d

from clflow.flows.coupling import ChannelMixing, LocalAffineCoupling
from clflow.flows.flow import Flow2d
from clflow.flows.settings import CouplingSettings

PAPER = CouplingSettings(
    steps=8,
    kernels=(3, 1),
    hidden_ratio=1.0,
    clamp=2.0,
    clamping="hard",
    subnet_scale=0.1,
    global_affine="softplus",
    identity_start=False,
)
OURS = PAPER.model_copy(
    update={
        "steps": 3,
        "kernels": (1,),
        "clamping": "soft",
        "subnet_scale": 1.0,
        "global_affine": "exp",
    }
)

ADDITIVE = OURS.model_copy(update={"clamping": "none", "global_affine": "none"})
IDENTITY = OURS.model_copy(update={"steps": 0})


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_flow(settings: CouplingSettings, channels: int) -> Flow2d:
    flow = Flow2d(channels, settings, seeded()).double()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=seeded(1)))
    return flow


def slogdet(flow: Flow2d, x: Tensor) -> Tensor:
    jacobian = torch.autograd.functional.jacobian(lambda value: flow(value)[0].flatten(), x)
    return torch.linalg.slogdet(jacobian.reshape(x.numel(), x.numel())).logabsdet


@pytest.mark.parametrize("settings", [PAPER, OURS, ADDITIVE], ids=["paper", "ours", "additive"])
@pytest.mark.parametrize("channels", [4, 5])
def test_inverse_returns_the_features(settings: CouplingSettings, channels: int) -> None:
    flow = random_flow(settings, channels)
    x = torch.randn(2, channels, 3, 4, dtype=torch.float64, generator=seeded())
    z, forward = flow(x)
    y, backward = flow.inverse(z)
    torch.testing.assert_close(y, x)
    torch.testing.assert_close(forward, -backward)
    assert not torch.allclose(z, x)


@pytest.mark.parametrize("settings", [PAPER, OURS, ADDITIVE], ids=["paper", "ours", "additive"])
@pytest.mark.parametrize("channels", [4, 5])
def test_summed_log_determinant_equals_autograd(settings: CouplingSettings, channels: int) -> None:
    flow = random_flow(settings, channels)
    x = torch.randn(1, channels, 3, 2, dtype=torch.float64, generator=seeded())
    torch.testing.assert_close(flow(x)[1].sum(), slogdet(flow, x))


def test_log_determinant_of_a_pointwise_flow_is_that_of_each_location() -> None:
    flow = random_flow(OURS, 4)
    x = torch.randn(1, 4, 2, 3, dtype=torch.float64, generator=seeded())
    local = torch.stack(
        [slogdet(flow, x[:, :, i : i + 1, j : j + 1]) for i in range(2) for j in range(3)]
    )
    torch.testing.assert_close(flow(x)[1].flatten(), local)


@pytest.mark.parametrize("settings", [ADDITIVE, IDENTITY], ids=["additive", "identity"])
def test_flow_without_scales_preserves_volume(settings: CouplingSettings) -> None:
    flow = random_flow(settings, 5)
    x = torch.randn(2, 5, 3, 4, dtype=torch.float64, generator=seeded())
    latent, log_determinant = flow(x)
    torch.testing.assert_close(log_determinant, torch.zeros_like(log_determinant))
    assert torch.equal(latent, x) == (settings.steps == 0)


@pytest.mark.parametrize("channels", [6, 7])
def test_block_equals_the_published_one(channels: int) -> None:
    def subnet(channels_in: int, channels_out: int) -> nn.Module:
        return nn.Conv2d(channels_in, channels_out, 3, padding=1)

    reference = AllInOneBlock([(channels, 4, 4)], subnet_constructor=subnet, permute_soft=False)
    with torch.no_grad():
        reference.global_scale.add_(torch.randn(reference.global_scale.shape, generator=seeded()))
        reference.global_offset.add_(torch.randn(reference.global_offset.shape, generator=seeded()))
    permutation = reference.w_perm.squeeze().argmax(dim=1)
    block = LocalAffineCoupling([(channels, 4, 4)], subnet, permutation)
    block.subnet.load_state_dict(reference.subnet.state_dict())
    block.global_scale.data.copy_(reference.global_scale)
    block.global_offset.data.copy_(reference.global_offset)
    x = torch.randn(1, channels, 4, 4, generator=seeded())
    (expected,), expected_log_determinant = reference((x,))
    (actual,), log_determinant = block((x,))
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(log_determinant.sum((1, 2)), expected_log_determinant)


@pytest.mark.parametrize("channels", [4, 5])
@pytest.mark.parametrize(
    "settings",
    [
        OURS,
        ADDITIVE,
        PAPER.model_copy(update={"kernels": (1,)}),
        OURS.model_copy(update={"global_affine": "none"}),
    ],
    ids=["ours", "additive", "paper", "no affine"],
)
def test_flow_in_evaluation_mode_is_the_same_flow(
    settings: CouplingSettings, channels: int
) -> None:
    flow = random_flow(settings, channels)
    x = torch.randn(2, channels, 3, 4, dtype=torch.float64, generator=seeded())
    before, expected = x.clone(), flow(x)
    torch.testing.assert_close(flow.eval()(x), expected)
    assert torch.equal(x, before)


@torch.no_grad()
def test_flow_that_was_trained_on_is_not_scored_with_its_old_weights() -> None:
    flow = random_flow(OURS, 4).eval()
    x = torch.randn(2, 4, 3, 4, dtype=torch.float64, generator=seeded())
    old = flow(x)[0]
    flow.train()
    flow.blocks[0].global_offset += 1  # type: ignore[operator]
    changed = flow(x)[0]
    assert not torch.allclose(changed, old)
    torch.testing.assert_close(flow.eval()(x)[0], changed)


@pytest.mark.slow
def test_wide_resnet50_flow_has_the_published_parameter_counts() -> None:
    """41.3 M additional parameters, FastFlow (2111.07677), counted from the layer shapes."""
    flows = [Flow2d(channels, PAPER, seeded()) for channels in (256, 512, 1024)]
    named = [item for flow in flows for item in flow.named_parameters()]
    affine = sum(value.numel() for name, value in named if "global_" in name)
    total = sum(value.numel() for _, value in named)
    assert total - affine == 41_309_184
    assert affine == 28_672


def test_paper_block_has_as_many_trained_parameters_as_freia_counts() -> None:
    flow = Flow2d(8, PAPER.model_copy(update={"steps": 1, "kernels": (3,)}), seeded())
    reference = AllInOneBlock(
        [(8, 4, 4)],
        subnet_constructor=lambda i, o: nn.Sequential(
            nn.Conv2d(i, i, 3, padding=1), nn.ReLU(), nn.Conv2d(i, o, 3, padding=1)
        ),
    )
    trained = sum(value.numel() for value in reference.parameters() if value.requires_grad)
    assert sum(value.numel() for value in flow.parameters()) == trained


def test_channels_are_mixed_as_by_a_pointwise_convolution() -> None:
    layer = ChannelMixing(5, 7, 1).double()
    x = torch.randn(3, 5, 4, 2, dtype=torch.float64, generator=seeded())
    torch.testing.assert_close(layer(x), conv2d(x, layer.weight, layer.bias))


def test_identity_start_is_the_identity_up_to_permutation() -> None:
    flow = Flow2d(6, OURS.model_copy(update={"identity_start": True}), seeded())
    x = torch.randn(2, 6, 3, 3, generator=seeded())
    z, log_determinant = flow(x)
    torch.testing.assert_close(z.sort(dim=1).values, x.sort(dim=1).values)
    assert log_determinant.abs().max() == 0


def test_same_generator_seed_gives_the_same_flow() -> None:
    one, two = (Flow2d(6, PAPER, seeded(3)).state_dict() for _ in range(2))
    other = Flow2d(6, PAPER, seeded(4)).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
