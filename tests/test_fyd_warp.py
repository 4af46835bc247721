"""Warping: what it does and what undoes it, against torch's own sampling."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from clflow.alignment.warp import chain, identity, inverse, sample, similarity, warp, warp_images

turns = st.floats(-math.pi, math.pi)
small_shifts = st.floats(-0.2, 0.2)
factors = st.floats(0.8, 1.25)


def waves(size: int = 64) -> Tensor:
    """Return a smooth image without symmetry [1, 1, size, size]."""
    axis = (torch.arange(size) + 0.5) / size
    return (torch.sin(5 * axis + 1)[:, None] * torch.cos(3 * axis) + axis)[None, None]


def theta_of(angle: float, factor: float, x: float, y: float) -> Tensor:
    return similarity(torch.tensor([angle]), torch.tensor([factor]), torch.tensor([[x, y]]))


@settings(max_examples=25, deadline=None)
@given(turns, factors, small_shifts, small_shifts)
def test_a_warp_and_its_inverse_cancel(angle: float, factor: float, x: float, y: float) -> None:
    theta = theta_of(angle, factor, x, y)
    torch.testing.assert_close(chain(theta, inverse(theta)), identity(1), rtol=0, atol=1e-6)
    there_and_back = warp(warp(waves(), theta, 64), inverse(theta), 64)
    middle = slice(24, 40)
    torch.testing.assert_close(
        there_and_back[..., middle, middle], waves()[..., middle, middle], rtol=0, atol=5e-3
    )


@settings(max_examples=25, deadline=None)
@given(turns, factors, small_shifts, turns, small_shifts)
def test_a_chain_is_one_warp_after_the_other(
    angle: float, factor: float, x: float, other_angle: float, y: float
) -> None:
    first, second = theta_of(angle, factor, x, 0.1), theta_of(other_angle, 1.0, -0.1, y)
    at_once = warp(waves(), chain(first, second), 64)
    in_turn = warp(warp(waves(), first, 64), second, 64)
    middle = slice(24, 40)
    torch.testing.assert_close(
        at_once[..., middle, middle], in_turn[..., middle, middle], rtol=0, atol=5e-3
    )


@pytest.mark.parametrize("size", [16, 64, 96])
def test_the_identity_interpolates(size: int) -> None:
    wanted = interpolate(waves(), size=(size, size), mode="bilinear", align_corners=False)
    torch.testing.assert_close(warp(waves(), identity(1), size), wanted, rtol=0, atol=1e-5)


def test_a_turn_is_about_the_centre_and_to_the_left_of_what_is_shown() -> None:
    image = torch.zeros(1, 1, 9, 9)
    image[0, 0, 4, 7] = 1
    quarter = theta_of(math.pi / 2, 1.0, 0.0, 0.0)
    row, column = divmod(int(warp(image, quarter, 9).argmax()), 9)
    assert (row, column) == (1, 4)


def test_each_axis_has_a_factor_of_its_own() -> None:
    theta = similarity(torch.zeros(1), torch.tensor([[2.0, 0.5]]), torch.zeros(1, 2))
    torch.testing.assert_close(theta, torch.tensor([[[2.0, 0, 0], [0, 0.5, 0]]]))


def test_images_warped_by_the_identity_are_the_same() -> None:
    images = torch.randint(0, 256, (20, 3, 8, 8), dtype=torch.uint8)
    assert torch.equal(warp_images(images, identity(20), "reflection"), images)


@settings(max_examples=20, deadline=None)
@given(turns, factors, st.floats(-1.5, 1.5), st.integers(0, 1000))
def test_sampling_and_its_gradients_are_those_of_torch(
    angle: float, factor: float, x: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(2, 3, 7, 7, generator=generator, dtype=torch.float64)
    theta = theta_of(angle, factor, x, 0.2).double().expand(2, -1, -1)

    def run(torchs_own: bool) -> list[Tensor]:
        leaves = maps.clone().requires_grad_(), theta.clone().requires_grad_()
        if torchs_own:
            grid = affine_grid(leaves[1], [2, 3, 5, 5], align_corners=False)
            out = grid_sample(leaves[0], grid, padding_mode="border", align_corners=False)
        else:
            out = sample(*leaves, 5)
        out.square().sum().backward()
        return [out.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]

    for ours, theirs in zip(run(False), run(True), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
