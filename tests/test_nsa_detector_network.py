"""NSA's network, and what its output means for each kind of label."""

import math

import pytest
import torch
from flow_cases import seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import interpolate

from clflow.detectors.nsa.network import (
    EncoderDecoder,
    activate,
    build_network,
    doubled,
    label_loss,
    mixed,
    uses_bfloat16,
)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> EncoderDecoder:
    return build_network(seeded())


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def images(count: int, height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (count, 3, height, width), generator=seeded(), dtype=torch.uint8)


def test_number_of_parameters_is_the_authors(network: EncoderDecoder) -> None:
    assert count(network) == 11_497_712
    # ResNet-18 has 11,689,512, of them 512 * 1000 + 1000 in its classifier
    assert count(network.encoder) == 11_689_512 - 513_000


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 64)])
@pytest.mark.parametrize("bfloat16", [False, True])
def test_output_has_the_size_of_the_image(
    network: EncoderDecoder, height: int, width: int, bfloat16: bool
) -> None:
    with torch.inference_mode(), mixed(CPU, bfloat16=bfloat16):
        features = network.encoder(images(2, height, width))
        output = network(images(2, height, width))
    assert features.shape == (2, 512, height // 32, width // 32)
    assert output.shape == (2, height, width)
    assert output.dtype == torch.float32


def test_initial_weights_follow_the_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    one, two, other = (build_network(seeded(seed)).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(one[name], two[name]) for name in one)
    drawn = [name for name, value in one.items() if value.ndim == 4]
    assert len(drawn) == 20 + 2 + 9 + 1
    assert not any(torch.equal(one[name], other[name]) for name in drawn)


def test_initial_weights_have_the_authors_spread(network: EncoderDecoder) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()
        elif isinstance(module, nn.ConvTranspose2d):
            # kaiming_uniform_ takes the fan of the second dimension
            limit = 1 / math.sqrt(module.weight[0].numel())
            assert module.weight.abs().max() <= limit
            assert module.weight.abs().max() > 0.9 * limit
        elif isinstance(module, nn.Conv2d):
            fan_out = module.weight.shape[0] * module.weight[0, 0].numel()
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.05)


@given(st.integers(1, 9), st.integers(2, 9), st.integers(2, 9))
@settings(max_examples=25, deadline=None)
def test_doubling_is_bilinear_interpolation(channels: int, height: int, width: int) -> None:
    maps = torch.randn(2, channels, height, width, generator=seeded())
    expected = interpolate(maps, scale_factor=2, mode="bilinear", align_corners=True)
    torch.testing.assert_close(doubled(maps), expected, atol=1e-5, rtol=1e-5)


def test_doubling_keeps_corners_and_constants() -> None:
    maps = torch.randn(1, 1, 5, 7, generator=seeded())
    corners = torch.tensor([0, -1])
    torch.testing.assert_close(
        doubled(maps)[..., corners, :][..., corners], maps[..., corners, :][..., corners]
    )
    torch.testing.assert_close(doubled(torch.ones(1, 2, 5, 7)), torch.ones(1, 2, 10, 14))


@pytest.mark.parametrize("label", ["binary", "logistic", "continuous"])
def test_labels_up_to_one_go_with_sigmoid_and_cross_entropy(label: str) -> None:
    output, target = torch.tensor([[[-1.0, 0.0, 2.0]]]), torch.tensor([[[0.0, 0.5, 1.0]]])
    chance = 1 / (1 + torch.exp(-output))
    torch.testing.assert_close(activate(output, label), chance)
    entropy = -(target * chance.log() + (1 - target) * (1 - chance).log()).mean()
    torch.testing.assert_close(label_loss(output, target, label), entropy)


def test_labels_in_grey_levels_go_with_relu_and_squared_error() -> None:
    output, target = torch.tensor([[[-1.0, 0.0, 30.0]]]), torch.tensor([[[0.0, 2.0, 33.0]]])
    torch.testing.assert_close(activate(output, "intensity"), torch.tensor([[[0.0, 0.0, 30.0]]]))
    assert label_loss(output, target, "intensity").item() == pytest.approx((0 + 4 + 9) / 3)


@pytest.mark.parametrize(("precision", "expected"), [("float32", False), ("bfloat16", True)])
def test_precision_is_as_told(precision: str, expected: bool) -> None:
    assert uses_bfloat16(precision, CPU) is expected


@pytest.mark.parametrize("fast", [True, False])
def test_automatic_precision_asks_the_processor(
    fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": fast}, raising=False)
    assert uses_bfloat16("auto", CPU) is fast


def test_automatic_precision_is_full_where_nothing_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not uses_bfloat16("auto", CPU)


def test_a_training_step_uses_deterministic_operations_only(network: EncoderDecoder) -> None:
    """On the CPU, that is; what is known of GPUs is in `network.doubled`."""
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("error")
    try:
        output = network(images(2, 64, 64))
        label_loss(output, torch.zeros_like(output), "logistic").backward()
    finally:
        torch.set_deterministic_debug_mode(before)
    assert all(parameter.grad is not None for parameter in network.parameters())
