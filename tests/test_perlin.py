"""Perlin noise against loops, and textures mixed into images under it."""

from math import cos, floor, pi, sin, sqrt

import numpy as np
import pytest
from generator_cases import Case
from hypothesis import given, settings
from hypothesis import strategies as st
from nsa_images import BACKGROUND, few, on_plain_ground, seeds, sides, textured
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import ndimage

from clflow.synthesis.background import decide, object_mask
from clflow.synthesis.perlin import Perlin, PerlinSettings, ResolvedPerlin, perlin_noise
from clflow.synthesis.settings import SynthesizeSettings

PERLIN = Case("perlin", ResolvedPerlin())

counts = st.sampled_from([1, 2, 4, 8, 16, 32])


def slow_noise(
    shape: tuple[int, int], cells: tuple[int, int], angles: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return gradient noise by its definition, pixel by pixel."""

    def fade(t: float) -> float:
        return 6 * t**5 - 15 * t**4 + 10 * t**3

    noise = np.zeros(shape)
    for i in range(shape[0]):
        for j in range(shape[1]):
            y, x = i * cells[0] / shape[0], j * cells[1] / shape[1]
            row, column = floor(y), floor(x)
            for dy in (0, 1):
                for dx in (0, 1):
                    angle = angles[row + dy, column + dx]
                    away = (y - row - dy, x - column - dx)
                    weight = fade(1 - abs(away[0])) * fade(1 - abs(away[1]))
                    noise[i, j] += weight * (sin(angle) * away[0] + cos(angle) * away[1])
    return sqrt(2) * noise


@given(height=st.integers(1, 40), width=st.integers(1, 40), down=counts, across=counts, seed=seeds)
@settings(max_examples=15, deadline=None)
def test_noise_equals_the_slow_one(
    height: int, width: int, down: int, across: int, seed: int
) -> None:
    angles = np.random.default_rng(seed).uniform(0, 2 * pi, (down + 1, across + 1))
    expected = slow_noise((height, width), (down, across), angles)
    noise = perlin_noise((height, width), (down, across), np.random.default_rng(seed))
    np.testing.assert_allclose(noise, expected, atol=1e-9)


@given(cell=st.integers(1, 12), down=counts, across=counts, seed=seeds)
@few
def test_noise_is_zero_at_the_corners_and_bounded(
    cell: int, down: int, across: int, seed: int
) -> None:
    shape = (cell * down, 2 * cell * across)
    noise = perlin_noise(shape, (down, across), np.random.default_rng(seed))
    assert noise.shape == shape
    np.testing.assert_allclose(noise[::cell, :: 2 * cell], 0, atol=1e-12)
    assert np.abs(noise).max() <= 1


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_continuous_across_cells(seed: int) -> None:
    """A step of a 64th of a cell is small everywhere; a jump at an edge would be near 1."""
    noise = perlin_noise((256, 256), (4, 4), np.random.default_rng(seed))
    for axis in (0, 1):
        steps = np.abs(np.diff(noise, axis=axis))
        assert 0.01 < steps.max() < 4 / 64
    assert noise.std() > 0.2


def test_published_settings_are_the_defaults() -> None:
    chosen = PerlinSettings()
    assert (chosen.scale_exponents, chosen.cut, chosen.changes) == ((0, 5), 0.5, 3)
    assert chosen.transparency == (0.0, 0.8)


@given(height=sides, width=sides, seed=seeds, transparency=st.floats(0, 0.8))
@few
def test_unchanged_texture_shows_through_as_asked(
    height: int, width: int, seed: int, transparency: float
) -> None:
    case = PERLIN.changed(
        changes=0, transparency=(transparency, transparency), label="continuous", tolerance=0.0
    )
    destination, texture = textured(height, width, seed), textured(height, width, seed + 1)
    found = case.make(destination, texture, seed)
    if found is None:
        return
    expected = transparency * destination + (1 - transparency) * texture
    np.testing.assert_allclose(found.image[found.mask], expected[found.mask], atol=0.5 + 1e-6)
    np.testing.assert_allclose(found.label, (1 - transparency) * found.mask, rtol=1e-6)


def test_finer_scales_give_more_and_smaller_anomalies() -> None:
    numbers = []
    for exponent in (1, 3, 5):
        case = PERLIN.changed(scale_exponents=(exponent, exponent), cut=0.2)
        found = [case.make(*case.images(96, 96, seed), seed) for seed in range(5)]
        numbers.append(sum(len(anomaly.boxes) for anomaly in found if anomaly is not None))
    assert 2 * numbers[0] < numbers[1] < numbers[2] / 2


def test_higher_cut_leaves_less() -> None:
    areas = []
    for cut in (0.1, 0.3, 0.6):
        case = PERLIN.changed(cut=cut, transparency=(0.0, 0.0))
        found = [case.make(*case.images(64, 64, seed), seed) for seed in range(8)]
        areas.append(sum(anomaly.mask.sum() for anomaly in found if anomaly is not None))
    assert areas[0] > areas[1] > areas[2] > 0


def test_mask_is_turned_noise_above_the_cut() -> None:
    """Its share of the image is, on average, that of noise turned by another library."""
    case = PERLIN.changed(
        scale_exponents=(1, 1), cut=0.3, transparency=(0.0, 0.0), changes=0, tolerance=0.0
    )
    shares, expected = [], []
    for seed in range(300):
        found = case.make(np.zeros((48, 48, 3), np.uint8), np.full((48, 48, 3), 9, np.uint8), seed)
        shares.append(0 if found is None else found.mask.mean())
        rng = np.random.default_rng(1000 + seed)
        noise = perlin_noise((48, 48), (2, 2), rng)
        turned = ndimage.rotate(noise, rng.uniform(-90, 90), reshape=False, order=1)
        expected.append((turned > 0.3).mean())
    error = np.sqrt((np.var(shares) + np.var(expected)) / 300)
    assert abs(np.mean(shares) - np.mean(expected)) < 4 * error < 0.3 * np.mean(expected)


@pytest.mark.parametrize("cut", [0.99, 1.0])
def test_empty_mask_gives_none(cut: float) -> None:
    case = PERLIN.changed(cut=cut, scale_exponents=(0, 0))
    assert case.make(*case.images(48, 48, 0), 0) is None


@given(seed=seeds)
@few
def test_anomalies_keep_off_the_background_when_told(seed: int) -> None:
    case = PERLIN.changed(cut=0.05, transparency=(0.0, 0.0))
    destination, source = on_plain_ground(64, 64, seed), textured(64, 64, seed)
    ground = ~object_mask(destination, *BACKGROUND)
    everywhere = case.make(destination, source, seed)
    kept_off = case.changed(object_only=True, background=BACKGROUND).make(destination, source, seed)
    if everywhere is None:
        return
    assert kept_off is None or not kept_off.mask[ground].any()
    if kept_off is not None:
        np.testing.assert_array_equal(kept_off.mask, everywhere.mask & ~ground)


def test_texture_on_a_grey_image_is_grey() -> None:
    grey = np.repeat(textured(64, 64, 0)[..., :1], 3, axis=2)
    found = [PERLIN.make(grey, textured(64, 64, 1), seed) for seed in range(6)]
    images = [anomaly.image for anomaly in found if anomaly is not None]
    assert images
    assert all((image == image[..., :1]).all() for image in images)


@pytest.mark.parametrize(("object_only", "expected"), [(True, (200.0, 60.0)), (False, None)])
def test_background_is_resolved_only_where_it_is_used(
    object_only: bool, expected: tuple[float, float] | None
) -> None:
    chosen = SynthesizeSettings(perlin=PerlinSettings(object_only=object_only, changes=5))
    found = Perlin().resolve(decide("mvtec_ad", "screw", chosen, []), chosen)
    assert (found.background, found.changes) == (expected, 5)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"scale_exponents": (3, 1)}, id="exponents-descend"),
        pytest.param({"scale_exponents": (0, 20)}, id="too-fine"),
        pytest.param({"transparency": (0.5, 1.2)}, id="more-than-clear"),
        pytest.param({"changes": 11}, id="more-than-there-are"),
        pytest.param({"background": (0, 1)}, id="not-the-users"),
    ],
)
def test_wrong_settings_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PerlinSettings.model_validate(values)
