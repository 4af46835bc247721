"""The switches of NSA: what each of them does to the patches."""

import numpy as np
import pytest
from generator_cases import CASES, Case
from hypothesis import given
from hypothesis import strategies as st
from nsa_images import BACKGROUND, few, seeds, sides, textured

from clflow.synthesis.background import object_mask
from clflow.synthesis.nsa import NSA, NSASettings
from clflow.synthesis.patch import Scene, draw_shape, sample_patch

PLAIN = CASES["nsa-texture"].changed(patches=1, resize_bounds=None, despeckle=False)


def test_single_patch_is_one() -> None:
    found = [CASES["nsa-single-patch"].make(*PLAIN.images(96, 96, n), n) for n in range(30)]
    counts = {len(anomaly.patches) for anomaly in found if anomaly is not None}
    assert counts == {1}


@given(height=sides, width=sides, seed=seeds)
@few
def test_swap_replaces_the_pixels_whatever_the_factor(height: int, width: int, seed: int) -> None:
    destination, source = PLAIN.images(height, width, seed)
    case = PLAIN.changed(clone="swap", factor_bounds=(0.3, 0.3))
    found = case.make(destination, source, seed)
    if found is None:
        return
    (a0, b0, a1, b1), (x0, y0, x1, y1) = found.patches[0].values()
    np.testing.assert_array_equal(found.image[y0:y1, x0:x1], source[b0:b1, a0:a1])


@given(height=sides, width=sides, seed=seeds, factor=st.floats(0.1, 1))
@few
def test_interpolate_mixes_the_pixels(height: int, width: int, seed: int, factor: float) -> None:
    case = PLAIN.changed(clone="interpolate", factor_bounds=(factor, factor), label="continuous")
    destination, source = case.images(height, width, seed)
    found = case.make(destination, source, seed)
    if found is None:
        return
    (a0, b0, a1, b1), (x0, y0, x1, y1) = found.patches[0].values()
    expected = (1 - factor) * destination[y0:y1, x0:x1] + factor * source[b0:b1, a0:a1]
    np.testing.assert_allclose(found.image[y0:y1, x0:x1], expected, atol=0.5 + 1e-6)
    assert found.label.max() == np.float32(factor)


def test_swap_is_interpolation_with_all_the_weight() -> None:
    destination, source = PLAIN.images(64, 64, 0)
    swapped = PLAIN.changed(clone="swap", patches=4).make(destination, source, 3)
    mixed = PLAIN.changed(clone="interpolate", patches=4).make(destination, source, 3)
    assert swapped is not None
    assert mixed is not None
    np.testing.assert_array_equal(swapped.image, mixed.image)


@given(height=sides, width=sides, seed=seeds)
@few
def test_in_place_leaves_patches_where_they_were(height: int, width: int, seed: int) -> None:
    found = CASES["nsa-in-place"].make(*PLAIN.images(height, width, seed), seed)
    if found is not None:
        assert all(patch["source"] == patch["destination"] for patch in found.patches)


@pytest.mark.parametrize("source", ["other", "same"])
def test_source_is_the_one_that_was_chosen(source: str) -> None:
    chosen = NSASettings.model_validate({"source": source})
    assert NSA().source(chosen) == source


@pytest.mark.parametrize("clone", ["normal", "mixed", "interpolate"])
def test_weaker_factor_changes_less(clone: str) -> None:
    changes = []
    for factor in (0.2, 0.5, 1.0):
        case = PLAIN.changed(clone=clone, factor_bounds=(factor, factor))
        destination, source = case.images(96, 96, 3)
        found = case.make(destination, source, 2)
        assert found is not None
        changes.append(np.abs(destination.astype(float) - found.image).sum())
    assert changes[0] < changes[1] < changes[2]


def test_factor_is_drawn_between_its_bounds() -> None:
    case = PLAIN.changed(clone="interpolate", factor_bounds=(0.3, 0.8), label="continuous")
    found = [case.make(*case.images(48, 48, seed), seed) for seed in range(60)]
    factors = [anomaly.label.max() for anomaly in found if anomaly is not None]
    assert 0.3 <= min(factors) < 0.4
    assert 0.7 < max(factors) <= 0.8


def test_factor_of_one_draws_nothing() -> None:
    """The default leaves the random numbers of a patch as they would be without the switch."""
    destination, source = textured(64, 64, 0), textured(64, 64, 1)
    settings = NSASettings(patches=1, clone="swap", resize_bounds=None)
    scene = Scene(destination, source, None, None)
    patch = sample_patch(scene, settings, np.random.default_rng(5))
    found = Case("nsa", settings).make(destination, source, 5)
    assert patch is not None
    assert found is not None
    assert found.patches == (patch.numbers(),)


@given(height=st.integers(1, 60), width=st.integers(1, 60), seed=seeds)
@few
def test_shapes_fit_and_are_never_empty(height: int, width: int, seed: int) -> None:
    rectangle = draw_shape("rectangle", (height, width), np.random.default_rng(seed))
    ellipses = draw_shape("ellipses", (height, width), np.random.default_rng(seed))
    assert rectangle.all()
    assert ellipses.shape == rectangle.shape == (height, width)
    assert ellipses.dtype == np.bool_
    assert ellipses.any()


def test_ellipses_are_neither_specks_nor_the_rectangle() -> None:
    shares = [
        draw_shape("ellipses", (60, 40), np.random.default_rng(seed)).mean() for seed in range(100)
    ]
    assert min(shares) > 0.05
    assert 0.3 < np.mean(shares) < 0.9


def test_swapped_ellipses_change_only_the_ellipses() -> None:
    case = PLAIN.changed(clone="swap", shape="ellipses", tolerance=0.0)
    partial = 0
    for seed in range(10):
        found = case.make(*case.images(64, 64, seed), seed)
        assert found is not None
        x0, y0, x1, y1 = found.patches[0]["destination"]
        partial += found.mask[y0:y1, x0:x1].mean() < 0.9
    assert partial > 5


def test_patch_of_the_object_leaves_the_background_out_when_not_blended() -> None:
    """Where neither image has the object, nothing is pasted."""
    case = CASES["nsa-interpolate"].changed(minimum_object=0.3, factor_bounds=(1.0, 1.0))
    straddling = 0
    for seed in range(30):
        destination, source = case.images(80, 80, seed)
        found = case.changed(patches=1, resize_bounds=None).make(destination, source, seed)
        if found is None:
            continue
        (a0, b0, a1, b1), (x0, y0, x1, y1) = found.patches[0].values()
        own = object_mask(source, *BACKGROUND)[b0:b1, a0:a1]
        below = object_mask(destination, *BACKGROUND)[y0:y1, x0:x1]
        expected = np.where(
            (own | below)[..., None], source[b0:b1, a0:a1], destination[y0:y1, x0:x1]
        )
        np.testing.assert_array_equal(found.image[y0:y1, x0:x1], expected)
        straddling += not (own | below).all()
    assert straddling > 3
