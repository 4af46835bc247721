"""Registration recovers poses that were planted."""

import math

import numpy as np
import pytest
import torch
from flow_cases import seeded
from fyd_cases import SIZE, as_pixels, noisy, part, poses
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import interpolate

from clflow.alignment.registration import (
    Refinement,
    Registration,
    TurnedTemplate,
    disc,
    vertex,
    windowed,
)
from clflow.alignment.settings import RegistrationSettings
from clflow.alignment.warp import inverse, similarity, warp

SETTINGS = RegistrationSettings(size=SIZE, turns=72, reach=0.15, rounds=2, seeds=4)


def images_of(placed: list[tuple[float, tuple[float, float]]]) -> Tensor:
    return as_pixels(noisy([part(*pose) for pose in placed], 1)).float() / 255


def planted(placed: list[tuple[float, tuple[float, float]]]) -> np.ndarray:
    """Return the maps from the part to each image, homogeneous [N, 3, 3], in half sides."""
    maps = []
    for angle, (x, y) in placed:
        cosine, sine = math.cos(angle), math.sin(angle)
        shift = 2 * x / SIZE, 2 * y / SIZE
        maps.append([[cosine, -sine, shift[0]], [sine, cosine, shift[1]], [0, 0, 1]])
    return np.array(maps)


def homogeneous(theta: Tensor) -> np.ndarray:
    last = np.tile([[[0.0, 0.0, 1.0]]], (len(theta), 1, 1))
    return np.concatenate([theta.numpy(), last], 1)


def smooth_pattern() -> Tensor:
    """Return a windowed pattern without fine detail [SIZE, SIZE]."""
    coarse = torch.rand(1, 1, 8, 8, generator=seeded())
    return windowed(interpolate(coarse, size=(SIZE, SIZE), mode="bicubic")[:, 0])[0]


def seen_each(images: Tensor, found: Tensor) -> Tensor:
    """Return images [N, S, S] seen through poses [N, 3]."""
    theta = similarity(found[:, 0], torch.ones(len(found)), found[:, 1:])
    return warp(images[:, None], theta, SIZE, padding="zeros")[:, 0]


def seen(image: Tensor, found: Tensor) -> Tensor:
    return seen_each(image.expand(len(found), SIZE, SIZE), found)


def test_planted_poses_are_recovered() -> None:
    placed = poses(12, seed=4)
    registration = Registration(SETTINGS).fit(images_of(placed[:8]))
    found = homogeneous(registration(images_of(placed)))
    # the same place of the part for every image, whatever pose the template has
    on_the_part = np.linalg.inv(planted(placed)) @ found
    turn = np.degrees(np.arctan2(on_the_part[:, 1, 0], on_the_part[:, 0, 0]))
    off_turn = (turn - turn[0] + 180) % 360 - 180
    assert np.abs(off_turn).max() < 1.0
    pixels = (on_the_part[:, :2, 2] - on_the_part[:, :2, 2].mean(0)) * SIZE / 2
    assert np.abs(pixels).max() < 0.5


def test_parts_in_one_pose_stay_where_they_are() -> None:
    images = images_of([(0.3, (1.0, 0.0))] * 6)
    theta = Registration(SETTINGS).fit(images)(images)
    torch.testing.assert_close(theta, torch.eye(2, 3).expand(6, 2, 3), rtol=0, atol=0.01)


def test_images_are_registered_one_by_one() -> None:
    images = images_of(poses(20, seed=5))
    registration = Registration(SETTINGS).fit(images)
    alone = torch.cat([registration(image[None]) for image in images])
    torch.testing.assert_close(alone, registration(images), rtol=0, atol=1e-4)


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_blank_images_are_no_error(level: float) -> None:
    blank = torch.full((5, 3, SIZE, SIZE), level)
    assert torch.isfinite(Registration(SETTINGS).fit(blank)(blank)).all()


@settings(deadline=None)
@given(st.floats(-0.5, 0.5), st.floats(0.1, 10), st.floats(-5, 5))
def test_vertex_of_a_parabola(place: float, curve: float, height: float) -> None:
    left, middle, right = (
        torch.tensor(height - curve * (x - place) ** 2, dtype=torch.float64) for x in (-1, 0, 1)
    )
    assert vertex(left, middle, right).item() == pytest.approx(place, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(-4, 4), st.integers(-4, 4))
def test_shift_of_the_correlation_against_trying_all(x: int, y: int) -> None:
    # nothing near the edges: no roll brings in anything at the other one
    template = torch.zeros(SIZE, SIZE)
    template[8:-8, 8:-8] = windowed(torch.rand(1, 48, 48, generator=seeded()))[0]
    moved = torch.roll(template, (y, x), (0, 1))[None]
    best, shift = (found[0, 0] for found in TurnedTemplate(template, 8, 0.1)(moved))
    slow = {
        (dx, dy): (torch.roll(moved[0], (-dy, -dx), (0, 1)) * template).sum().item()
        for dx in range(-6, 7)
        for dy in range(-6, 7)
    }
    assert max(slow, key=lambda key: slow[key]) == (x, y)
    assert best.item() == pytest.approx(slow[x, y], rel=1e-4)
    np.testing.assert_allclose(shift * SIZE / 2, [x, y], atol=0.1)


@pytest.mark.parametrize("turn", [0, 3, 7])
def test_turn_with_the_highest_correlation_is_the_image_s(turn: int) -> None:
    template = smooth_pattern()
    turned = seen(template, torch.tensor([[turn * math.pi / 4, 0.0, 0.0]]))
    correlation, _ = TurnedTemplate(template, 8, 0.1)(windowed(turned))
    # the pose undoes the turn
    assert correlation.argmax().item() == -turn % 8


@settings(max_examples=20, deadline=None)
@given(st.floats(-0.08, 0.08), st.floats(-0.04, 0.04), st.floats(-0.04, 0.04))
def test_refinement_finds_the_planted_pose(angle: float, x: float, y: float) -> None:
    template = smooth_pattern()
    pose = torch.tensor([[angle, x, y]])
    theta = similarity(pose[:, 0], torch.ones(1), pose[:, 1:])
    image = warp(template[None, None], inverse(theta), SIZE, padding="zeros")[:, 0]
    refinement = Refinement(template)
    start = torch.zeros(1, 3)
    found, _ = refinement(image, start, 10)
    torch.testing.assert_close(found, pose, rtol=0, atol=0.005)
    before, after = (refinement(image, poses, 1)[1] for poses in (start, found))
    assert after >= before
    assert after.item() > 0.98


def test_correlation_is_that_of_windowed_images() -> None:
    template = smooth_pattern()
    poses = torch.tensor([[0.3, 0.1, -0.05], [-1.2, 0.0, 0.2]])
    images = torch.rand(2, SIZE, SIZE, generator=seeded())
    slow = (windowed(seen_each(images, poses)) * template).sum((1, 2))
    _, found = Refinement(template)(images, poses, 1)
    torch.testing.assert_close(found, slow, rtol=1e-3, atol=1e-5)


def test_loaded_registration_finds_the_same_poses() -> None:
    images = images_of(poses(6, seed=8))
    registration = Registration(SETTINGS).fit(images)
    state = registration.state_dict()
    assert list(state) == ["template"]
    loaded = Registration(SETTINGS)
    loaded.load_state_dict(state)
    torch.testing.assert_close(loaded(images), registration(images), rtol=0, atol=0)


def test_window_keeps_the_disc_and_nothing_of_the_corners() -> None:
    window = disc(64)
    assert window[32, 32] == 1
    assert window[0, 0] == 0
    prepared = windowed(torch.rand(3, 64, 64))
    torch.testing.assert_close(prepared.flatten(1).norm(dim=1), torch.ones(3))
    assert prepared[:, 0, 0].abs().max() == 0
