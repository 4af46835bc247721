"""What every generator promises, whatever its settings, as properties."""

import numpy as np
import pytest
from generator_cases import CASES, Case, all_cases
from hypothesis import given, settings
from hypothesis import strategies as st
from nsa_images import BACKGROUND, Image, seeds
from numpy.typing import NDArray
from scipy import ndimage

from clflow.errors import ClflowError, DataError, SettingsError
from clflow.synthesis.background import object_mask
from clflow.synthesis.labels import LabelKind
from clflow.synthesis.registry import GENERATORS, get_generator
from clflow.synthesis.synthetic import Synthetic

few = settings(max_examples=12, deadline=None)
sides = st.integers(32, 80)
kinds: tuple[LabelKind, ...] = ("binary", "intensity", "logistic", "continuous")


def mean_change(destination: Image, found: Synthetic) -> NDArray[np.float64]:
    return np.abs(destination.astype(float) - found.image).mean(axis=2)


def expected_mask(case: Case, change: NDArray[np.float64]) -> NDArray[np.bool_]:
    mask = change > case.settings.tolerance
    if not case.settings.despeckle:
        return mask
    return ndimage.median_filter(mask.astype(np.uint8), size=5, mode="nearest") > 0


def reachable(case: Case, destination: Image, found: Synthetic) -> NDArray[np.bool_]:
    """Return the pixels of the patches, of the object where there are no patches."""
    shape = destination.shape[:2]
    if case.generator == "perlin":
        levels = case.get("background")
        return np.ones(shape, bool) if levels is None else object_mask(destination, *levels)
    reached = np.zeros(shape, bool)
    for patch in found.patches:
        x0, y0, x1, y1 = patch["destination"]
        reached[y0:y1, x0:x1] = True
    return reached


@all_cases
@given(height=sides, width=sides, seed=seeds)
@few
def test_nothing_changes_outside_the_patches(
    case: Case, height: int, width: int, seed: int
) -> None:
    destination, source = case.images(height, width, seed)
    found = case.make(destination, source, seed)
    if found is None:
        return
    outside = ~reachable(case, destination, found)
    assert (found.image == destination)[outside].all()


@all_cases
@given(height=sides, width=sides, seed=seeds, tolerance=st.sampled_from([0.0, 1.0, 9.0]))
@few
def test_mask_is_where_pixels_changed_visibly(
    case: Case, height: int, width: int, seed: int, tolerance: float
) -> None:
    case = case.changed(tolerance=tolerance)
    destination, source = case.images(height, width, seed)
    found = case.make(destination, source, seed)
    if found is None:
        return
    expected = expected_mask(case, mean_change(destination, found))
    assert found.mask.any()
    assert (found.mask <= expected).all()
    if case.marks_all:
        np.testing.assert_array_equal(found.mask, expected)


@given(height=sides, width=sides, seed=seeds)
@few
def test_blended_change_of_the_object_is_always_marked(height: int, width: int, seed: int) -> None:
    case = CASES["nsa-object"].changed(despeckle=False)
    destination, source = case.images(height, width, seed)
    found = case.make(destination, source, seed)
    if found is not None:
        visible = mean_change(destination, found) > case.settings.tolerance
        assert found.mask[visible & object_mask(destination, *BACKGROUND)].all()


@all_cases
@given(height=sides, width=sides, seed=seeds)
@few
def test_boxes_are_tight_around_the_components(
    case: Case, height: int, width: int, seed: int
) -> None:
    found = case.make(*case.images(height, width, seed), seed)
    if found is None:
        return
    labelled, count = ndimage.label(found.mask, structure=np.ones((3, 3)))
    expected = {(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(labelled)}
    assert set(found.boxes) == expected
    assert len(found.boxes) == count > 0


@pytest.mark.parametrize("kind", kinds)
@all_cases
@given(height=sides, width=sides, seed=seeds, k=st.floats(0.05, 2), x0=st.floats(0, 40))
@settings(max_examples=4, deadline=None)
def test_label_follows_its_formula(
    case: Case, kind: LabelKind, height: int, width: int, seed: int, k: float, x0: float
) -> None:
    case = case.changed(label=kind, logistic_k=k, logistic_x0=x0)
    # the median can reach beyond what counts as changed
    case = case if case.marks_all else case.changed(despeckle=False)
    destination, source = case.images(height, width, seed)
    found = case.make(destination, source, seed)
    if found is None:
        return
    y, x = np.ogrid[-5:6, -5:6]
    change = mean_change(destination, found) * found.mask
    smooth = ndimage.median_filter(change, footprint=x**2 + y**2 <= 25, mode="nearest")
    expected = {
        "binary": found.mask,
        "intensity": smooth,
        "logistic": found.mask / (1 + np.exp(-k * (smooth - x0))),
        # the factor is drawn: here only that it is one number
        "continuous": found.label.max() * found.mask,
    }
    np.testing.assert_allclose(found.label, expected[kind], rtol=1e-6, atol=1e-5)
    assert 0 <= found.label.min() <= found.label.max() <= (255 if kind == "intensity" else 1)
    # the two others are 0 too where too little changed too weakly
    assert found.label.any() or kind in ("intensity", "logistic")


@all_cases
@given(height=sides, width=sides, seed=seeds)
@few
def test_same_seed_gives_the_same_and_the_inputs_stay(
    case: Case, height: int, width: int, seed: int
) -> None:
    destination, source = case.images(height, width, seed)
    first = case.make(destination, source, seed)
    fresh_destination, fresh_source = case.images(height, width, seed)
    np.testing.assert_array_equal(destination, fresh_destination)
    np.testing.assert_array_equal(source, fresh_source)
    for image in (destination, source):
        image.flags.writeable = False
    again = case.make(destination, source, seed)
    assert (first is None) == (again is None)
    if first is not None and again is not None:
        for name in ("image", "mask", "label"):
            np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert (first.boxes, first.patches) == (again.boxes, again.patches)


@all_cases
def test_another_seed_gives_another_anomaly(case: Case) -> None:
    destination, source = case.images(64, 64, 0)
    found = [case.make(destination, source, seed) for seed in range(12)]
    images = [anomaly.image.tobytes() for anomaly in found if anomaly is not None]
    assert len(set(images)) == len(images) >= 3


@all_cases
@given(height=sides, width=sides, seed=seeds)
@few
def test_types_and_sizes_are_kept(case: Case, height: int, width: int, seed: int) -> None:
    found = case.make(*case.images(height, width, seed), seed)
    if found is None:
        return
    assert (found.image.dtype, found.image.shape) == (np.uint8, (height, width, 3))
    assert (found.mask.dtype, found.mask.shape) == (np.bool_, (height, width))
    assert (found.label.dtype, found.label.shape) == (np.float32, (height, width))
    for patch in found.patches:
        for x0, y0, x1, y1 in patch.values():
            assert 0 <= x0 < x1 <= width
            assert 0 <= y0 < y1 <= height


@all_cases
@given(height=sides, width=sides, seed=seeds)
@few
def test_grey_stays_grey(case: Case, height: int, width: int, seed: int) -> None:
    grey = [np.repeat(image[..., :1], 3, axis=2) for image in case.images(height, width, seed)]
    found = case.make(grey[0], grey[1], seed)
    if found is not None:
        assert (found.image == found.image[..., :1]).all()


def plain(level: int, height: int, width: int) -> Image:
    return np.full((height, width, 3), level, np.uint8)


def ends_well(case: Case, destination: Image, source: Image, seed: int) -> bool:
    """Return whether there is an anomaly; anything but that, none or our own error fails."""
    try:
        found = case.make(destination, source, seed)
    except ClflowError:
        return False
    if found is None:
        return False
    assert found.mask.any()
    assert (found.image != destination).any()
    assert found.boxes
    return True


@all_cases
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=seeds)
@settings(max_examples=40, deadline=None)
def test_small_images_end_well(case: Case, height: int, width: int, seed: int) -> None:
    ends_well(case, *case.images(height, width, seed), seed)


@all_cases
@given(level=st.integers(0, 255), other=st.integers(0, 255), seed=seeds)
@few
def test_constant_images_end_well(case: Case, level: int, other: int, seed: int) -> None:
    ends_well(case, plain(level, 48, 40), plain(other, 48, 40), seed)


@all_cases
@given(seed=seeds)
@few
def test_identical_images_end_well(case: Case, seed: int) -> None:
    image, _ = case.images(48, 48, seed)
    ends_well(case, image, image, seed)
    ends_well(case, image, image.copy(), seed)


@pytest.mark.parametrize("name", ["nsa-object", "nsa-interpolate", "perlin-on-the-object"])
def test_background_all_over_gives_none(name: str) -> None:
    ground = plain(200, 64, 64)
    assert not any(ends_well(CASES[name], ground, ground, seed) for seed in range(10))


@pytest.mark.parametrize("name", ["fpi", "pii", "nsa-in-place"])
@given(seed=seeds)
@few
def test_what_is_the_same_in_both_images_leaves_no_anomaly(name: str, seed: int) -> None:
    image, _ = CASES[name].images(48, 48, seed)
    assert not ends_well(CASES[name], image, image.copy(), seed)


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize(
    ("destination", "source"),
    [
        pytest.param(np.zeros((8, 8), np.uint8), plain(0, 8, 8), id="grey"),
        pytest.param(np.zeros((8, 8, 3)), plain(0, 8, 8), id="float"),
        pytest.param(plain(0, 8, 8), plain(0, 8, 8)[..., :1], id="one-channel-source"),
        pytest.param(plain(0, 8, 8), plain(0, 8, 9), id="sizes"),
    ],
)
def test_wrong_images_are_refused(name: str, destination: Image, source: Image) -> None:
    with pytest.raises(DataError, match="8, 8"):
        CASES[name if name in CASES else "nsa-texture"].make(destination, source, 0)


def test_every_generator_is_tested_and_unknown_ones_are_told() -> None:
    assert {case.generator for case in CASES.values()} == set(GENERATORS)
    with pytest.raises(SettingsError, match="unknown generator 'cutpasta': did you mean 'cutpaste"):
        get_generator("cutpasta")


@all_cases
def test_settings_survive_json(case: Case) -> None:
    stored = case.settings.model_dump(mode="json")
    assert get_generator(case.generator).load(stored) == case.settings
