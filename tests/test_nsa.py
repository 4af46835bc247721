"""NSA: the generator's promises as properties, its parts against slow references."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import ndimage

from clflow.errors import DataError, SettingsError
from clflow.synthesis.background import object_mask
from clflow.synthesis.blend import CloneMode, seamless_clone
from clflow.synthesis.labels import change_mask, disk_median, make_label, mean_change
from clflow.synthesis.nsa import NSA
from clflow.synthesis.patch import Scene, sample_patch
from clflow.synthesis.registry import get_generator
from clflow.synthesis.settings import (
    NSAOverrides,
    NSASettings,
    SynthesizeSettings,
    decide_nsa,
    resolve_nsa,
)
from clflow.synthesis.synthetic import Synthetic, component_boxes

Image = NDArray[np.uint8]

BACKGROUND = (200.0, 40.0)
TEXTURE = NSASettings(patches=4, clone="mixed", resize_bounds=(0.5, 2.0))
OBJECT = NSASettings(patches=3, background=BACKGROUND)

few = settings(max_examples=25, deadline=None)
sides = st.integers(33, 97)
seeds = st.integers(0, 10_000)


def textured(height: int, width: int, seed: int) -> Image:
    noise = np.random.default_rng(seed).normal(120, 30, (height, width, 3))
    smooth = ndimage.gaussian_filter(noise, (1.5, 1.5, 0)) * 2 - 120
    return smooth.clip(0, 255).astype(np.uint8)


def on_plain_ground(height: int, width: int, seed: int) -> Image:
    image = np.full((height, width, 3), 200, np.uint8)
    inner = (slice(height // 6, -height // 6), slice(width // 6, -width // 6))
    image[inner] = textured(height, width, seed)[inner] // 2
    return image


def generated(
    chosen: NSASettings, height: int, width: int, seed: int
) -> tuple[Image, Image, Synthetic | None]:
    draw = textured if chosen.background is None else on_plain_ground
    destination, source = draw(height, width, seed), draw(height, width, seed + 1)
    rng = np.random.default_rng(seed)
    return destination, source, NSA().generate(destination, source, chosen, rng)


def first_success(chosen: NSASettings, side: int = 96) -> tuple[Image, Synthetic]:
    for seed in range(20):
        destination, _, synthetic = generated(chosen, side, side, seed)
        if synthetic is not None:
            return destination, synthetic
    raise AssertionError("no seed of 20 gives an anomaly")


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


@pytest.mark.parametrize(
    ("tall", "wide"),
    [
        pytest.param((0.05, 0.2), (0.05, 0.3), id="loose"),
        pytest.param((0.05, 0.1), (0.25, 0.3), id="wide"),
        pytest.param((0.25, 0.3), (0.05, 0.1), id="tall"),
    ],
)
@given(seed=seeds, height=sides, width=sides)
@few
def test_patch_obeys_bounds_and_object_rules(
    tall: tuple[float, float], wide: tuple[float, float], seed: int, height: int, width: int
) -> None:
    chosen = OBJECT.model_copy(
        update={"height_bounds": tall, "width_bounds": wide, "minimum_object": 0.5}
    )
    destination, source = on_plain_ground(height, width, seed), on_plain_ground(height, width, 1)
    masks = [object_mask(image, *BACKGROUND) for image in (destination, source)]
    rng = np.random.default_rng(seed)
    patch = sample_patch(Scene(destination, source, masks[0], masks[1]), chosen, rng)
    if patch is None:
        return
    x0, y0, x1, y1 = patch.taken
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height
    assert masks[1][y0:y1, x0:x1].mean() > 0.5
    # NSA bounds the full sides of a resized patch by the half-width bounds
    rows, columns = patch.region.shape
    assert round(tall[0] * height) <= rows <= round(tall[1] * height)
    assert round(wide[0] * width) <= columns <= round(wide[1] * width)
    assert patch.region[masks[0][patch.window]].all()
    assert patch.region.mean() > 0.5


def test_tries_go_on_until_the_source_box_is_on_the_object() -> None:
    source = np.full((90, 90, 3), 200, np.uint8)
    source[40:80, 40:80] = 20
    chosen = OBJECT.model_copy(update={"minimum_object": 0.9, "height_bounds": (0.05, 0.1)})
    mask = object_mask(source, *BACKGROUND)
    scene = Scene(source, source, mask, mask)
    chosen = chosen.model_copy(update={"width_bounds": (0.05, 0.1), "minimum_overlap": 0.0})
    found = [sample_patch(scene, chosen, np.random.default_rng(seed)) for seed in range(40)]
    assert sum(patch is not None for patch in found) >= 36


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


@pytest.mark.parametrize("mode", ["normal", "mixed"])
@pytest.mark.parametrize(
    ("height", "width", "corner"),
    [
        pytest.param(11, 9, (1, 2), id="odd"),
        pytest.param(12, 15, (0, 0), id="odd-width-in-the-corner"),
        pytest.param(15, 12, (49, 52), id="odd-height-at-the-far-corner"),
        pytest.param(10, 10, (7, 5), id="even"),
    ],
)
def test_blend_changes_the_box_less_two_pixels(
    mode: CloneMode, height: int, width: int, corner: tuple[int, int]
) -> None:
    rng = np.random.default_rng(3)
    destination = rng.integers(0, 256, (64, 64, 3), np.uint8)
    patch = rng.integers(0, 256, (height, width, 3), np.uint8)
    mask = np.ones((height, width), bool)
    blended = seamless_clone(destination, patch, mask, corner, mode)
    assert blended is not None
    rows, columns = np.nonzero((blended != destination).any(axis=2))
    (y, x) = corner
    assert (rows.min(), rows.max() + 1) == (y + 2, y + height - 2)
    assert (columns.min(), columns.max() + 1) == (x + 2, x + width - 2)
    assert mask.all()


def test_blend_of_a_partial_mask_stays_where_the_mask_is() -> None:
    rng = np.random.default_rng(0)
    destination = rng.integers(0, 256, (64, 64, 3), np.uint8)
    patch = rng.integers(0, 256, (30, 31, 3), np.uint8)
    mask = np.zeros((30, 31), bool)
    mask[4:20, 15:27] = True
    blended = seamless_clone(destination, patch, mask, (20, 10), "normal")
    assert blended is not None
    rows, columns = np.nonzero((blended != destination).any(axis=2))
    assert (rows.min(), rows.max() + 1) == (20 + 5, 20 + 19)
    assert (columns.min(), columns.max() + 1) == (10 + 16, 10 + 26)
    assert mask.sum() == 16 * 12


@pytest.mark.parametrize(
    ("height", "width"),
    [pytest.param(9, 8, id="42-pixels"), pytest.param(4, 60, id="2-rows")],
)
def test_blend_of_too_little_gives_none(height: int, width: int) -> None:
    destination = np.zeros((64, 64, 3), np.uint8)
    patch, mask = np.ones((height, width, 3), np.uint8), np.ones((height, width), bool)
    assert seamless_clone(destination, patch, mask, (0, 0), "normal") is None


def test_mixed_keeps_the_texture_that_a_flat_patch_would_wipe_out() -> None:
    destination = textured(64, 64, 0)
    flat, mask = np.full((30, 30, 3), 100, np.uint8), np.ones((30, 30), bool)
    inside = (slice(20, 44), slice(20, 44))
    modes: tuple[CloneMode, ...] = ("normal", "mixed")
    spread = {}
    for mode in modes:
        blended = seamless_clone(destination, flat, mask, (17, 17), mode)
        assert blended is not None
        spread[mode] = np.abs(np.diff(blended[inside].astype(float), axis=0)).mean()
    original = np.abs(np.diff(destination[inside].astype(float), axis=0)).mean()
    assert spread["normal"] < 0.5 * original < 0.8 * original < spread["mixed"]


@given(seed=seeds, height=st.integers(1, 24), width=st.integers(1, 24))
@few
def test_disk_median_equals_the_slow_one(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.random((height, width)).astype(np.float32)
    at = rng.random((height, width)) < 0.5
    y, x = np.ogrid[-5:6, -5:6]
    slow = ndimage.median_filter(values, footprint=x**2 + y**2 <= 25, mode="nearest")
    np.testing.assert_array_equal(disk_median(values, at), np.where(at, slow, 0))


def test_label_kinds_on_a_hand_made_change() -> None:
    before = np.zeros((40, 40, 3), np.uint8)
    after = before.copy()
    after[10:30, 10:30] = (9, 12, 15)
    inside = np.ones((40, 40), bool)
    change = mean_change(before, after, inside)
    mask = change_mask(change, 1.0)
    binary = make_label("binary", change, mask, 0.5, 8.0)
    intensity = make_label("intensity", change, mask, 0.5, 8.0)
    logistic = make_label("logistic", change, mask, 0.5, 8.0)
    assert change[20, 20] == 12
    assert binary[20, 20] == 1
    assert intensity[20, 20] == 12
    assert logistic[20, 20] == pytest.approx(1 / (1 + np.exp(-2)))
    assert intensity[0, 0] == logistic[0, 0] == 0
    assert mean_change(before, after, ~inside).sum() == 0


def test_change_of_just_the_tolerance_is_none() -> None:
    assert not change_mask(np.full((9, 9), 1.0, np.float32), 1.0).any()
    assert change_mask(np.full((9, 9), 1.01, np.float32), 1.0).all()


@given(seed=seeds, density=st.floats(0, 0.6))
@few
def test_boxes_are_those_of_the_eight_connected_components(seed: int, density: float) -> None:
    mask = np.random.default_rng(seed).random((17, 23)) < density
    labelled, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    expected = {(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(labelled)}
    assert set(component_boxes(mask)) == expected


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        pytest.param(
            "screw",
            {
                "height_bounds": (0.03, 0.12),
                "width_bounds": (0.03, 0.12),
                "patches": 4,
                "logistic_k": 1.0,
                "logistic_x0": 3.0,
                "background": (200.0, 60.0),
                "minimum_object": 0.5,
                "clone": "normal",
                "resize_bounds": (0.7, 1.3),
            },
            id="screw",
        ),
        pytest.param(
            "cable",
            {"background": None, "clone": "normal", "height_bounds": (0.05, 0.4)},
            id="cable",
        ),
        pytest.param(
            "carpet",
            {
                "background": None,
                "clone": "mixed",
                "resize_bounds": (0.5, 2.0),
                "patches": 4,
                "logistic_k": 1 / 3,
                "logistic_x0": 7.0,
            },
            id="carpet",
        ),
        pytest.param(
            "capsule",
            {"height_bounds": (0.03, 0.15), "width_bounds": (0.03, 0.4), "logistic_k": 0.5},
            id="capsule",
        ),
        pytest.param(
            "toothbrush",
            {"width_bounds": (0.03, 0.2), "background": (20.0, 20.0), "minimum_object": 0.25},
            id="toothbrush",
        ),
    ],
)
def test_class_table_holds_the_published_values(category: str, expected: dict[str, object]) -> None:
    found = resolve_nsa("mvtec_ad", category, SynthesizeSettings(), []).model_dump()
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("category", "patches"), [("01", 3), ("02", 4), ("03", 3)], ids=["01", "02", "03"]
)
def test_btad_has_its_numbers_and_a_measured_kind(category: str, patches: int) -> None:
    resolution = decide_nsa("btad", category, SynthesizeSettings(), [on_plain_ground(96, 96, 0)])
    found = resolution.settings
    assert (found.patches, found.logistic_k, found.logistic_x0) == (patches, 1 / 6, 15)
    assert resolution.background is not None
    assert found.background == (
        resolution.background.brightness,
        resolution.background.threshold,
    )


def test_unlisted_category_is_measured() -> None:
    of_object = resolve_nsa("mine", "part", SynthesizeSettings(), [on_plain_ground(96, 96, 0)])
    of_texture = resolve_nsa("mine", "cloth", SynthesizeSettings(), [textured(96, 96, 0)])
    assert of_object.clone == "normal"
    assert of_object.background is not None
    assert of_texture.clone == "mixed"
    assert of_texture.background is None


def test_kind_and_overrides_win_over_the_table() -> None:
    forced = SynthesizeSettings(kind="texture", nsa=NSAOverrides(patches=2, logistic_x0=9))
    found = resolve_nsa("mvtec_ad", "screw", forced, [])
    assert (found.clone, found.background, found.patches) == ("mixed", None, 2)
    assert (found.logistic_x0, found.logistic_k) == (9, 1)
    unmasked = SynthesizeSettings(nsa=NSAOverrides(background="none"))
    assert resolve_nsa("mvtec_ad", "screw", unmasked, []).background is None
    levels = SynthesizeSettings(nsa=NSAOverrides(background=(10, 30)))
    assert resolve_nsa("mvtec_ad", "carpet", levels, []).background == (10, 30)


def test_settings_survive_json() -> None:
    found = resolve_nsa("mvtec_ad", "bottle", SynthesizeSettings(), [])
    assert NSASettings.model_validate_json(found.model_dump_json()) == found
    assert NSA().load(found.model_dump(mode="json")) == found


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"height_bounds": (0.4, 0.03)}, id="bounds-descend"),
        pytest.param({"width_bounds": (0.1, 0.6)}, id="wider-than-the-image"),
        pytest.param({"minimum_object": 1.5}, id="more-than-all"),
        pytest.param({"patches": 0}, id="no-patch"),
        pytest.param({"color": 1}, id="unknown"),
    ],
)
def test_wrong_settings_are_refused(values: dict[str, object]) -> None:
    for model in (NSASettings, NSAOverrides):
        with pytest.raises(ValidationError):
            model.model_validate(values)


def test_registry_knows_nsa_and_suggests_it() -> None:
    assert isinstance(get_generator("nsa"), NSA)
    with pytest.raises(SettingsError, match="unknown generator 'nas'"):
        get_generator("nas")
