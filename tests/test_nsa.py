"""NSA: the generator's promises as properties."""

import numpy as np
import pytest
from hypothesis import given
from nsa_images import (
    BACKGROUND,
    OBJECT,
    TEXTURE,
    Image,
    few,
    first_success,
    generated,
    on_plain_ground,
    seeds,
    sides,
    textured,
)
from scipy import ndimage

from clflow.errors import DataError, SettingsError
from clflow.synthesis.background import object_mask
from clflow.synthesis.blending import CloneMode
from clflow.synthesis.nsa import NSA, NSASettings
from clflow.synthesis.registry import get_generator


@pytest.mark.parametrize("chosen", [TEXTURE, OBJECT], ids=["texture", "object"])
@given(height=sides, width=sides, seed=seeds)
@few
def test_nothing_changes_outside_the_patches_less_two_pixels(
    chosen: NSASettings, height: int, width: int, seed: int
) -> None:
    destination, _, synthetic = generated(chosen, height, width, seed)
    if synthetic is None:
        return
    reached = np.zeros((height, width), np.uint8)
    for patch in synthetic.patches:
        x0, y0, x1, y1 = patch["destination"]
        reached[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2] = 1
    assert (synthetic.image == destination)[reached == 0].all()
    # the mask's median may fill the inner corner between two patches
    assert (synthetic.mask <= ndimage.median_filter(reached, size=5, mode="nearest")).all()
    assert synthetic.mask.any()


@given(height=sides, width=sides, seed=seeds)
@few
def test_mask_and_label_follow_the_rule(height: int, width: int, seed: int) -> None:
    destination, _, synthetic = generated(TEXTURE, height, width, seed)
    if synthetic is None:
        return
    change = np.abs(destination.astype(float) - synthetic.image).mean(axis=2)
    mask = ndimage.median_filter((change > 1).astype(np.uint8), size=5, mode="nearest") > 0
    np.testing.assert_array_equal(synthetic.mask, mask)
    y, x = np.ogrid[-5:6, -5:6]
    smooth = ndimage.median_filter(change * mask, footprint=x**2 + y**2 <= 25, mode="nearest")
    expected = mask / (1 + np.exp(-TEXTURE.logistic_k * (smooth - TEXTURE.logistic_x0)))
    np.testing.assert_allclose(synthetic.label, expected, atol=1e-5)


@pytest.mark.parametrize("chosen", [TEXTURE, OBJECT], ids=["texture", "object"])
@given(height=sides, width=sides, seed=seeds)
@few
def test_same_seed_gives_same_pixels_and_inputs_stay(
    chosen: NSASettings, height: int, width: int, seed: int
) -> None:
    destination, source, synthetic = generated(chosen, height, width, seed)
    again_destination, again_source, again = generated(chosen, height, width, seed)
    draw = textured if chosen.background is None else on_plain_ground
    np.testing.assert_array_equal(destination, draw(height, width, seed))
    np.testing.assert_array_equal(source, again_source)
    np.testing.assert_array_equal(destination, again_destination)
    assert (synthetic is None) == (again is None)
    if synthetic is not None and again is not None:
        np.testing.assert_array_equal(synthetic.image, again.image)
        np.testing.assert_array_equal(synthetic.label, again.label)
        assert synthetic.patches == again.patches


def test_another_seed_gives_another_anomaly() -> None:
    first, second = textured(96, 96, 0), textured(96, 96, 1)
    images = [
        found.image
        for seed in range(4)
        if (found := NSA().generate(first, second, TEXTURE, np.random.default_rng(seed)))
    ]
    assert len({image.tobytes() for image in images}) == len(images) >= 3


@pytest.mark.parametrize("side", [16, 23, 32])
@pytest.mark.parametrize("chosen", [TEXTURE, OBJECT], ids=["texture", "object"])
def test_small_images_fail_or_succeed_but_never_raise(chosen: NSASettings, side: int) -> None:
    for seed in range(30):
        destination, _, synthetic = generated(chosen, side, side + 3, seed)
        assert synthetic is None or (synthetic.image != destination).any()


def test_widest_bounds_never_raise() -> None:
    chosen = NSASettings(height_bounds=(0.5, 0.5), width_bounds=(0.5, 0.5))
    _, synthetic = first_success(chosen, side=65)
    x0, y0, x1, y1 = synthetic.patches[0]["destination"]
    assert (x1 - x0, y1 - y0) == (32, 32)


def test_plain_background_gives_none() -> None:
    plain = np.full((64, 64, 3), 200, np.uint8)
    assert NSA().generate(plain, plain, OBJECT, np.random.default_rng(0)) is None


def test_invisible_change_gives_none() -> None:
    plain = np.full((64, 64, 3), 90, np.uint8)
    assert NSA().generate(plain, plain, TEXTURE, np.random.default_rng(0)) is None


@pytest.mark.parametrize("clone", ["normal", "mixed"])
def test_grey_stays_grey(clone: CloneMode) -> None:
    first, second = (np.repeat(textured(80, 80, seed)[..., :1], 3, axis=2) for seed in (0, 1))
    chosen = NSASettings(clone=clone)
    for seed in range(5):
        found = NSA().generate(first, second, chosen, np.random.default_rng(seed))
        if found is not None:
            assert (found.image == found.image[..., :1]).all()
            return
    raise AssertionError("no seed of 5 gives an anomaly")


def test_number_of_patches_reaches_but_never_exceeds_the_setting() -> None:
    found = [generated(TEXTURE, 96, 96, seed)[2] for seed in range(60)]
    counts = {len(synthetic.patches) for synthetic in found if synthetic is not None}
    assert counts == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("destination", "source"),
    [
        pytest.param(np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.uint8), id="grey"),
        pytest.param(np.zeros((8, 8, 3)), np.zeros((8, 8, 3), np.uint8), id="float"),
        pytest.param(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8), id="sizes"),
    ],
)
def test_wrong_images_are_refused(destination: Image, source: Image) -> None:
    with pytest.raises(DataError, match="8, 8"):
        NSA().generate(destination, source, TEXTURE, np.random.default_rng(0))


def test_only_the_object_counts_as_changed() -> None:
    """A source that is object on its left half marks that half of the patch, and no more."""
    rng = np.random.default_rng(0)
    destination = np.full((90, 90, 3), 200, np.uint8)
    source = destination.copy()
    source[:, :45] = rng.integers(0, 120, (90, 45, 3), np.uint8)
    destination[:, :10] = 30
    chosen = OBJECT.model_copy(update={"patches": 1, "minimum_overlap": 0.0})
    masks = [object_mask(image, *BACKGROUND) for image in (destination, source)]
    halved = 0
    for seed in range(60):
        found = NSA().generate(destination, source, chosen, np.random.default_rng(seed))
        if found is None:
            continue
        (x0, y0, x1, y1), (u0, _, u1, _) = (
            found.patches[0]["source"],
            found.patches[0]["destination"],
        )
        own = masks[1][y0:y1, x0:x1].mean()
        halved += own < 0.9
        last = max(u0 + own * (u1 - u0), 10)
        assert np.nonzero(found.mask)[1].max() <= last + 1
    assert halved > 5


def test_registry_knows_nsa_and_suggests_it() -> None:
    assert isinstance(get_generator("nsa"), NSA)
    with pytest.raises(SettingsError, match="unknown generator 'nas'"):
        get_generator("nas")
