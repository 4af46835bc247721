"""The ten changes of a texture, each within its published range, three at a time."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nsa_images import few, seeds
from numpy.typing import NDArray

from clflow.synthesis import textures
from clflow.synthesis.textures import CHANGES, Texture, change_texture

each_change = pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)

RAMP = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)


def change_named(name: str) -> textures.Change:
    (found,) = (change for change in CHANGES if change.__name__ == f"_{name}")
    return found


def ramps(name: str, count: int = 60) -> NDArray[np.float64]:
    """Return what a change makes of the grey levels, [count, 256, 3]."""
    change = change_named(name)
    drawn = [change(RAMP, np.random.default_rng(seed))[0] for seed in range(count)]
    return np.array(drawn, float)


@each_change
@given(height=st.integers(1, 30), width=st.integers(1, 30), seed=seeds)
@few
def test_every_change_keeps_type_and_size_and_its_input(
    change: textures.Change, height: int, width: int, seed: int
) -> None:
    texture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    before = texture.copy()
    texture.flags.writeable = False
    changed = change(texture, np.random.default_rng(seed))
    assert (changed.dtype, changed.shape) == (np.uint8, texture.shape)
    np.testing.assert_array_equal(texture, before)
    np.testing.assert_array_equal(changed, change(texture, np.random.default_rng(seed)))


@each_change
def test_every_change_changes_something(change: textures.Change) -> None:
    texture = np.random.default_rng(0).integers(40, 200, (30, 30, 3), np.uint8)
    changed = [change(texture, np.random.default_rng(seed)) for seed in range(6)]
    assert any((image != texture).any() for image in changed)


def test_there_are_the_ten_of_the_paper() -> None:
    assert len(set(CHANGES)) == 10


@pytest.mark.parametrize("count", [0, 1, 3, 10])
def test_changes_are_drawn_without_repetition(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[int] = []

    def recorder(number: int) -> textures.Change:
        def record(texture: Texture, _: np.random.Generator) -> Texture:
            called.append(number)
            return texture

        return record

    monkeypatch.setattr(textures, "CHANGES", tuple(map(recorder, range(10))))
    seen = set()
    for seed in range(200):
        called.clear()
        change_texture(RAMP, count, np.random.default_rng(seed))
        assert len(called) == len(set(called)) == count
        seen.update(called)
    assert seen == (set(range(10)) if count else set())


def test_three_changes_are_any_three(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes that add a power of two each: the sum tells which of them ran."""
    adders = tuple(lambda texture, _, bit=bit: texture + np.uint16(1 << bit) for bit in range(10))
    monkeypatch.setattr(textures, "CHANGES", adders)
    nothing = np.zeros((1, 1, 3), np.uint16)
    sums = {
        int(change_texture(nothing, 3, np.random.default_rng(seed)).max()) for seed in range(1500)
    }
    assert sums == {sum(1 << bit for bit in three) for three in combinations(range(10), 3)}


def test_no_change_leaves_the_texture() -> None:
    assert change_texture(RAMP, 0, np.random.default_rng(0)) is RAMP


def test_gamma_stays_between_half_and_double() -> None:
    found, levels = ramps("gamma"), np.arange(256) / 255
    assert (found >= np.rint(255 * levels**2)[:, None]).all()
    assert (found <= np.rint(255 * levels**0.5)[:, None]).all()
    middle = found[:, 128] / 255
    exponents = np.log(middle) / np.log(128 / 255)
    assert exponents.min() < 0.7
    assert exponents.max() > 1.7
    assert (found[..., 0] != found[..., 1]).any(), "each channel has its own exponent"


def test_brightness_scales_by_a_fifth_and_adds_thirty() -> None:
    found, levels = ramps("brightness"), np.arange(256)[:, None]
    assert (found <= np.minimum(255, 1.2 * levels + 30.5)).all()
    assert (found >= np.maximum(0, 0.8 * levels - 30.5)).all()
    assert found[:, 100].max() > 125
    assert found[:, 100].min() < 75


def test_solarize_turns_over_half_the_time_from_32_to_128_on() -> None:
    found, levels = ramps("solarize", 400)[..., 0], np.arange(256)
    turned = (found != levels).any(axis=1)
    assert abs(turned.mean() - 0.5) < 4 * np.sqrt(0.25 / 400)
    assert (found[:, :32] == levels[:32]).all()
    assert (found[turned][:, 129:] == 255 - levels[129:]).all()
    # the darkest level that is turned over tells the threshold
    thresholds = [int(np.nonzero(row != levels)[0][0]) for row in found[turned]]
    assert 32 <= min(thresholds) < 45
    assert 115 < max(thresholds) <= 128


def test_posterize_keeps_one_to_eight_bits() -> None:
    counts = {len(np.unique(row)) for row in ramps("posterize")[..., 0]}
    assert counts == {2**bits for bits in range(1, 9)}


def test_invert_autocontrast_and_equalize_by_hand() -> None:
    assert (change_named("invert")(RAMP, np.random.default_rng(0)) == 255 - RAMP).all()
    dull = np.repeat(100 + RAMP // 4, 20, axis=0)
    for name in ("autocontrast", "equalize"):
        stretched = change_named(name)(dull, np.random.default_rng(0))
        assert stretched.min() == 0
        assert stretched.max() >= 254
        assert (np.diff(stretched[0, :, 0].astype(int)) >= 0).all()


def test_hue_and_saturation_leave_brightness_and_grey_hue() -> None:
    texture = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    for seed in range(10):
        changed = change_named("hue_and_saturation")(texture, np.random.default_rng(seed))
        assert np.abs(changed.max(axis=2).astype(int) - texture.max(axis=2)).max() <= 1


def test_sharpness_leaves_what_is_flat_and_steepens_edges() -> None:
    step = np.full((20, 20, 3), 80, np.uint8)
    step[:, 10:] = 160
    found = [change_named("sharpness")(step, np.random.default_rng(seed)) for seed in range(10)]
    for image in found:
        assert (image[:, :7] == 80).all()
        assert (image[:, 13:] == 160).all()
    assert max(int(image[10, 10, 0]) - image[10, 9, 0] for image in found) > 90


def test_rotation_fills_the_corners_by_reflection() -> None:
    plain = np.full((30, 44, 3), 90, np.uint8)
    for seed in range(10):
        assert (change_named("rotate")(plain, np.random.default_rng(seed)) == 90).all()


def test_rotation_turns_up_to_45_degrees_both_ways() -> None:
    """Of an image that is white above its middle, the top stays white and the bottom black."""
    halves = np.zeros((41, 41, 3), np.uint8)
    halves[:18] = 255
    found = [change_named("rotate")(halves, np.random.default_rng(seed)) for seed in range(80)]
    assert all(image[2, 20, 0] == 255 and image[38, 20, 0] == 0 for image in found)
    sides = {(bool(image[20, 4, 0]), bool(image[20, 36, 0])) for image in found}
    assert {(True, False), (False, True)} <= sides
