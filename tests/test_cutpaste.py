"""CutPaste and its scar: what is cut, how its colours change, how it is turned, where it lands."""

from math import log, sqrt

import cv2
import numpy as np
import pytest
from generator_cases import Case
from hypothesis import given
from hypothesis import strategies as st
from nsa_images import Image, few, seeds, sides, textured
from pydantic import ValidationError

from clflow.synthesis.cutpaste import CutPasteSettings, ScarSettings, jitter_colours

PATCH, SCAR = Case("cutpaste", CutPasteSettings()), Case("cutpaste_scar", ScarSettings())


def plain(level: int, side: int = 256) -> Image:
    return np.full((side, side, 3), level, np.uint8)


def size(box: list[int]) -> tuple[int, int]:
    x0, y0, x1, y1 = box
    return y1 - y0, x1 - x0


def black_and_white(case: Case, count: int = 300) -> list[tuple[list[int], list[int], int]]:
    """Return the boxes and the area of white patches on black images of 256 px, without jitter."""
    drawn = []
    for seed in range(count):
        found = case.changed(jitter=0).make(plain(0), plain(255), seed)
        assert found is not None
        (patch,) = found.patches
        drawn.append((patch["source"], patch["destination"], int(found.mask.sum())))
    return drawn


def test_published_settings_are_the_defaults() -> None:
    normal, scar = CutPasteSettings(), ScarSettings()
    assert (normal.area, normal.aspect, normal.jitter) == ((0.02, 0.15), (0.3, 3.3), 0.1)
    assert (scar.width, scar.height) == ((2, 16), (10, 25))
    assert (scar.rotation, scar.jitter) == (45, 0.1)
    assert normal.label == scar.label == "binary"


def test_area_and_aspect_are_those_published() -> None:
    """Area uniform in 2 to 15 %, log of the aspect uniform: halves below and above their middle."""
    sizes = np.array([size(taken) for taken, _, _ in black_and_white(PATCH)], float)
    shares, aspects = sizes.prod(axis=1) / 256**2, sizes[:, 0] / sizes[:, 1]
    assert 0.019 < shares.min() < 0.03
    assert 0.14 < shares.max() < 0.152
    assert 0.29 < aspects.min() < 0.34
    assert 2.9 < aspects.max() < 3.4
    for values, middle in ((shares, 0.085), (np.log(aspects), (log(0.3) + log(3.3)) / 2)):
        assert abs((values > middle).mean() - 0.5) < 4 * sqrt(0.25 / 300)


@pytest.mark.parametrize("case", [PATCH, SCAR], ids=["patch", "scar"])
def test_patches_are_taken_and_land_anywhere(case: Case) -> None:
    for boxes in list(zip(*black_and_white(case), strict=True))[:2]:
        corners = np.array(boxes)
        assert corners[:, :2].min() <= 3
        assert corners[:, 2:].max() >= 253
        assert corners.min() >= 0
        assert corners.max() <= 256


@given(height=sides, width=sides, seed=seeds)
@few
def test_pasted_pixels_are_those_cut_out(height: int, width: int, seed: int) -> None:
    image = textured(height, width, seed)
    found = PATCH.changed(jitter=0).make(image, image, seed)
    if found is None:
        return
    (a0, b0, a1, b1), (x0, y0, x1, y1) = found.patches[0].values()
    np.testing.assert_array_equal(found.image[y0:y1, x0:x1], image[b0:b1, a0:a1])


def test_largest_patch_covers_the_image_and_no_more() -> None:
    case = PATCH.changed(area=(1.0, 1.0), aspect=(3.3, 3.3), jitter=0)
    found = case.make(plain(0, 40), plain(255, 40), 0)
    assert found is not None
    assert size(found.patches[0]["destination"]) == (40, round(40 / sqrt(3.3)))


def test_scar_has_the_published_size() -> None:
    sizes = np.array([size(taken) for taken, _, _ in black_and_white(SCAR)])
    assert (sizes[:, 0].min(), sizes[:, 0].max()) == (10, 25)
    assert (sizes[:, 1].min(), sizes[:, 1].max()) == (2, 16)


def test_scar_of_a_smaller_image_is_smaller_in_proportion() -> None:
    case = SCAR.changed(width=(16, 16), height=(40, 40), jitter=0)
    for side, expected in ((256, (40, 16)), (128, (20, 8)), (64, (10, 4))):
        found = case.make(plain(0, side), plain(255, side), 0)
        assert found is not None
        assert size(found.patches[0]["source"]) == expected


def test_turning_keeps_the_area_within_its_edge() -> None:
    for taken, put, area in black_and_white(SCAR):
        height, width = size(taken)
        assert abs(area - height * width) <= height + width
        assert max(size(put)) <= np.hypot(height, width) + 2


def test_scars_lie_at_angles_up_to_45_degrees() -> None:
    """The smallest turned rectangle around a strip of 60 x 12 px tells its angle."""
    case = SCAR.changed(width=(12, 12), height=(60, 60), jitter=0)
    angles = []
    for seed in range(200):
        found = case.make(plain(0), plain(255), seed)
        assert found is not None
        points = cv2.findNonZero(found.mask.astype(np.uint8))
        _, sides, _ = rectangle = cv2.minAreaRect(points)
        assert sorted(sides) == pytest.approx([11, 59], abs=2)
        corners = cv2.boxPoints(rectangle)
        edges = np.roll(corners, -1, axis=0) - corners
        along = edges[np.hypot(*edges.T).argmax()]
        angles.append(np.degrees(np.arctan(along[0] / along[1])))
    assert -48 < min(angles) < -35
    assert 35 < max(angles) < 48
    assert abs(np.mean(np.array(angles) > 0) - 0.5) < 4 * sqrt(0.25 / 200)


def test_scar_that_is_not_turned_is_a_plain_paste() -> None:
    image = textured(96, 96, 0)
    case = SCAR.changed(rotation=0, jitter=0, width=(40, 40), height=(60, 60))
    found = case.make(image, image, 1)
    assert found is not None
    (a0, b0, a1, b1), (x0, y0, x1, y1) = found.patches[0].values()
    np.testing.assert_array_equal(found.image[y0:y1, x0:x1], image[b0:b1, a0:a1])


@given(seed=seeds, strength=st.floats(0, 1))
@few
def test_jitter_is_bounded(seed: int, strength: float) -> None:
    """Grey patches are only scaled; with the mean as the middle of contrast, by hand."""
    patch = plain(100, 8)
    jittered = jitter_colours(patch, strength, np.random.default_rng(seed))
    assert (jittered.dtype, jittered.shape) == (np.uint8, patch.shape)
    assert (jittered == jittered[0, 0, 0]).all()
    assert abs(int(jittered[0, 0, 0]) - 100) <= 100 * strength + 0.5


def test_no_jitter_is_no_change() -> None:
    patch = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    np.testing.assert_array_equal(jitter_colours(patch, 0.0, np.random.default_rng(0)), patch)


def test_jitter_turns_the_hue_both_ways() -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    found = [jitter_colours(red, 0.1, np.random.default_rng(seed))[0, 0] for seed in range(40)]
    assert any(green > blue + 30 for _, green, blue in found)
    assert any(blue > green + 30 for _, green, blue in found)
    assert all(colour[0] == max(colour) for colour in found)


@pytest.mark.parametrize(
    ("model", "values"),
    [
        pytest.param(CutPasteSettings, {"area": (0.2, 0.1)}, id="area-descends"),
        pytest.param(CutPasteSettings, {"area": (0.5, 1.5)}, id="more-than-all"),
        pytest.param(CutPasteSettings, {"aspect": (0, 1)}, id="flat"),
        pytest.param(CutPasteSettings, {"jitter": 2}, id="loud"),
        pytest.param(CutPasteSettings, {"color": 1}, id="unknown"),
        pytest.param(ScarSettings, {"width": (0, 1)}, id="thin"),
        pytest.param(ScarSettings, {"height": (9, 3)}, id="height-descends"),
        pytest.param(ScarSettings, {"rotation": 200}, id="over-turned"),
    ],
)
def test_wrong_settings_are_refused(
    model: type[CutPasteSettings | ScarSettings], values: dict[str, object]
) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(values)
