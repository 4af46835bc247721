"""Coupling blocks and flows against autograd, FrEIA and the published parameter counts."""

from collections.abc import Callable

import pytest
import torch
from FrEIA.framework import GraphINN, InputNode, Node, OutputNode, SequenceINN
from FrEIA.modules import AllInOneBlock
from other_device import OTHER, OtherDevice
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

PAPER_1X1 = PAPER.model_copy(update={"kernels": (1,)})
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


def slogdet(flow: nn.Module, x: Tensor) -> Tensor:
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
    torch.testing.assert_close(log_determinant, expected_log_determinant)


def small_subnet(channels_in: int, channels_out: int) -> nn.Module:
    return nn.Conv2d(channels_in, channels_out, 3, padding=1)


def sequence(channels: int, settings: CouplingSettings) -> SequenceINN:
    """Two of our blocks around one of FrEIA's own, in FrEIA's own chain."""
    torch.manual_seed(0)
    network = SequenceINN(channels, 3, 2)
    options = {
        "subnet_constructor": small_subnet,
        "clamp": settings.clamp,
        "clamping": settings.clamping,
        "subnet_scale": settings.subnet_scale,
        "global_affine": settings.global_affine,
    }
    order = torch.randperm(channels)
    network.append(LocalAffineCoupling, permutation=order, **options)
    network.append(AllInOneBlock, subnet_constructor=small_subnet)
    network.append(LocalAffineCoupling, permutation=order.flip(0), **options)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "global" in name:
                parameter.add_(0.3 * torch.randn(parameter.shape))
    return network.double()


@pytest.mark.parametrize("settings", [PAPER, OURS, ADDITIVE], ids=["paper", "ours", "additive"])
@pytest.mark.parametrize("channels", [4, 5])
def test_blocks_stand_in_the_graphs_of_freia(settings: CouplingSettings, channels: int) -> None:
    network = sequence(channels, settings)
    x = torch.randn(2, channels, 3, 2, dtype=torch.float64, generator=seeded())
    z, forward = network(x)
    y, backward = network(z, rev=True)
    assert forward.shape == backward.shape == (2,)
    torch.testing.assert_close(y, x)
    torch.testing.assert_close(backward, -forward)
    torch.testing.assert_close(network(x, jac=False)[0], z)
    for image, expected in zip(x, forward, strict=True):
        torch.testing.assert_close(slogdet(network, image[None]), expected)


def test_block_is_a_node_of_a_graph_of_freia() -> None:
    start = InputNode(4, 3, 2)
    options = {"subnet_constructor": small_subnet, "permutation": torch.tensor([2, 0, 3, 1])}
    node = Node(start, LocalAffineCoupling, options)
    graph = GraphINN([start, node, OutputNode(node)]).double()
    x = torch.randn(2, 4, 3, 2, dtype=torch.float64, generator=seeded())
    z, forward = graph(x)
    y, backward = graph(z, rev=True)
    torch.testing.assert_close(y, x)
    torch.testing.assert_close(backward, -forward)


@pytest.mark.parametrize("dims", [[], [(4,)], [(4, 3, 2), (4, 3, 2)]])
def test_block_maps_one_feature_map(dims: list[tuple[int, ...]]) -> None:
    block = LocalAffineCoupling([(4, 3, 2)], small_subnet, torch.arange(4))
    assert block.output_dims([(4, 3, 2)]) == [(4, 3, 2)]
    with pytest.raises(ValueError, match="one input of shape"):
        block.output_dims(dims)


def test_log_determinant_of_a_block_is_the_sum_of_those_of_its_locations() -> None:
    block = random_flow(OURS, 5).blocks[0]
    x = torch.randn(2, 5, 3, 4, dtype=torch.float64, generator=seeded())
    for rev, by_location in ((False, block.transform), (True, block.inverse)):
        (mapped,), total = block((x,), rev=rev)
        expected, log_determinant = by_location(x)
        assert log_determinant.shape == (2, 3, 4)
        assert torch.equal(mapped, expected)
        torch.testing.assert_close(total, log_determinant.sum((1, 2)))


@pytest.mark.parametrize("channels", [4, 5])
@pytest.mark.parametrize(
    "settings",
    [
        OURS,
        ADDITIVE,
        PAPER_1X1,
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


def load(flow: Flow2d) -> Flow2d:
    flow.load_state_dict(random_flow(PAPER_1X1, 4).state_dict())
    return flow


def load_by_assignment(flow: Flow2d) -> Flow2d:
    flow.load_state_dict(random_flow(PAPER_1X1, 4).state_dict(), assign=True)
    return flow


def load_as_a_part(flow: Flow2d) -> Flow2d:
    state = nn.Sequential(random_flow(PAPER_1X1, 4)).state_dict()
    nn.Sequential(flow).load_state_dict(state)
    return flow


def to_single(flow: Flow2d) -> Flow2d:
    return flow.to(torch.float32)


def to_single_as_a_part(flow: Flow2d) -> Flow2d:
    nn.Sequential(flow).float()
    return flow


def trained(flow: Flow2d) -> Flow2d:
    flow.train()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.mul_(0.5)
    return flow.eval()


@pytest.mark.parametrize(
    "change", [load, load_by_assignment, load_as_a_part, to_single, to_single_as_a_part, trained]
)
@torch.no_grad()
def test_flow_that_has_scored_forgets_what_it_was(change: Callable[[Flow2d], Flow2d]) -> None:
    fresh, used = (Flow2d(4, PAPER_1X1, seeded()).double().eval() for _ in range(2))
    x = torch.randn(2, 4, 3, 4, dtype=torch.float64, generator=seeded())
    old = used(x)[0]
    fresh, used = change(fresh), change(used)
    x = x.to(next(used.parameters()).dtype)
    expected, actual = fresh(x), used(x)
    assert all(map(torch.equal, actual, expected))
    assert not torch.equal(actual[0].double(), old)


@torch.no_grad()
def test_flow_that_has_scored_scores_on_the_device_it_is_moved_to() -> None:
    flow = random_flow(OURS, 4).eval()
    x = torch.randn(2, 4, 3, 4, dtype=torch.float64, generator=seeded())
    expected = flow(x)
    with OtherDevice():
        there = flow.to(OTHER)(x.to(OTHER))
        assert [part.device for part in there] == [OTHER, OTHER]
        torch.testing.assert_close([part.cpu() for part in there], list(expected))


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
