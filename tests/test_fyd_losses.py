"""The two losses of FYD against loops over all pairs."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cosine_similarity

from clflow.alignment.learned import pairwise_distance
from clflow.detectors.gaussian.fine import alignment_loss, spread

sizes = st.integers(2, 6)
seeds = st.integers(0, 10_000)


def random(shape: tuple[int, ...], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def slow_alignment_loss(predictions: Tensor, targets: Tensor) -> float:
    count, _, height, width = predictions.shape
    values = [
        -cosine_similarity(predictions[a, :, i, j], targets[b, :, i, j], dim=0).item()
        for a, b in itertools.permutations(range(count), 2)
        for i in range(height)
        for j in range(width)
    ]
    return float(np.mean(values))


def slow_distance(images: Tensor, weights: Tensor) -> float:
    count, _, height, width = images.shape
    total = 0.0
    for a, b in itertools.combinations(range(count), 2):
        for i in range(height):
            for j in range(width):
                distance = np.sqrt(((images[a, :, i, j] - images[b, :, i, j]) ** 2).sum().item())
                total += weights[i, j].item() * distance
    return total / (count * (count - 1) / 2) / weights.sum().item()


@settings(max_examples=20, deadline=None)
@given(sizes, st.integers(1, 5), seeds)
def test_fine_alignment_against_all_pairs(count: int, channels: int, seed: int) -> None:
    p, z = random((count, channels, 2, 3), seed), random((count, channels, 2, 3), seed + 1)
    assert alignment_loss(p, z).item() == pytest.approx(slow_alignment_loss(p, z), abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(sizes, seeds, st.booleans())
def test_pairwise_distance_against_all_pairs(count: int, seed: int, weighted: bool) -> None:
    images, weights = random((count, 3, 2, 4), seed), random((2, 4), seed + 1).abs() + 0.1
    ours = pairwise_distance(images, weights if weighted else None).item()
    assert ours == pytest.approx(
        slow_distance(images, weights if weighted else torch.ones(2, 4)), rel=1e-6
    )


def test_fine_alignment_is_lowest_where_all_agree() -> None:
    same = random((1, 4, 3, 3), 0).expand(5, -1, -1, -1)
    scales = torch.arange(1, 6, dtype=torch.float64)[:, None, None, None]
    assert alignment_loss(same * scales, same).item() == pytest.approx(-1)
    assert alignment_loss(-same, same).item() == pytest.approx(1)


def test_an_image_is_not_compared_with_itself() -> None:
    """Two opposite images: with themselves they would agree, with each other they do not."""
    one = random((1, 4, 3, 3), 0)
    both = torch.cat([one, -one])
    assert alignment_loss(both, both).item() == pytest.approx(1)


def test_distance_of_equal_images_is_zero_and_has_a_gradient() -> None:
    images = random((1, 3, 4, 4), 0).expand(3, -1, -1, -1).clone().requires_grad_()
    distance = pairwise_distance(images)
    distance.backward()
    assert distance.item() == pytest.approx(0, abs=1e-5)
    assert images.grad is not None
    assert torch.isfinite(images.grad).all()


def test_spread_is_near_one_for_random_directions_and_zero_for_one_direction() -> None:
    maps = random((8, 16, 10, 10), 0)
    assert spread(maps).median().item() == pytest.approx(1, abs=0.05)
    lengths = random((8, 1, 10, 10), 1).abs() + 0.1
    assert spread(random((1, 16, 1, 1), 2) * lengths).max().item() < 1e-6
