"""FPI and PII: squares of another image, left in place, mixed or blended with a random weight."""

import numpy as np
import pytest
from generator_cases import Case
from hypothesis import given
from hypothesis import strategies as st
from nsa_images import Image, few, seeds, sides, textured
from pydantic import ValidationError

from clflow.synthesis.blending import CloneMode, seamless_clone
from clflow.synthesis.fpi import FPISettings, PIISettings, sample_square

FPI, PII = Case("fpi", FPISettings()), Case("pii", PIISettings())

factors = st.floats(0.05, 0.95)


def plain(level: int, side: int = 48) -> Image:
    return np.full((side, side, 3), level, np.uint8)


def test_published_settings_are_the_defaults() -> None:
    for settings in (FPISettings(), PIISettings()):
        assert (settings.half_width, settings.centre) == ((0.05, 0.2), 0.8)
        assert (settings.factor_bounds, settings.label) == ((0.05, 0.95), "continuous")
    assert PIISettings().clone == "mixed"


def test_half_widths_and_centres_are_uniform_in_their_published_ranges() -> None:
    """Of 100 px: half-widths 5 to 19, centres 10 to 89; whole squares only, to read both off."""
    rng = np.random.default_rng(0)
    halves, centres = [], []
    for _ in range(6000):
        for span in sample_square((100, 100), FPISettings(), rng):
            if span.start > 0 and span.stop < 100:
                halves.append((span.stop - span.start) // 2)
                centres.append((span.start + span.stop) // 2)
    assert set(halves) == set(range(5, 20))
    assert set(centres) == set(range(10, 90))
    # no square is cut off around these centres, so each half-width is as likely as any other
    inner = [half for half, centre in zip(halves, centres, strict=True) if 20 <= centre < 80]
    counts = np.bincount(inner, minlength=20)[5:]
    expected = len(inner) / 15
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


@given(height=sides, width=sides, seed=seeds)
@few
def test_square_is_square_and_sized_by_the_shorter_side(height: int, width: int, seed: int) -> None:
    chosen = FPISettings(half_width=(0.1, 0.1), centre=0.5)
    rows, columns = sample_square((height, width), chosen, np.random.default_rng(seed))
    half = max(1, round(0.1 * min(height, width)))
    assert rows.stop - rows.start == columns.stop - columns.start == 2 * half
    for span, length in ((rows, height), (columns, width)):
        assert 0.25 * length - 1 <= span.start + half <= 0.75 * length + 1


@pytest.mark.parametrize("case", [FPI, PII], ids=["fpi", "pii"])
@given(height=sides, width=sides, seed=seeds)
@few
def test_patch_stays_in_place_and_its_label_is_the_factor(
    case: Case, height: int, width: int, seed: int
) -> None:
    found = case.make(*case.images(height, width, seed), seed)
    if found is None:
        return
    (patch,) = found.patches
    assert patch["source"] == patch["destination"]
    factor = found.label.max()
    assert 0.05 <= factor <= 0.95
    np.testing.assert_array_equal(found.label, np.where(found.mask, factor, np.float32(0)))


@given(side=sides, seed=seeds, factor=factors)
@few
def test_fpi_interpolates_the_pixels(side: int, seed: int, factor: float) -> None:
    case = FPI.changed(factor_bounds=(factor, factor))
    destination, source = textured(side, side, seed), textured(side, side, seed + 1)
    found = case.make(destination, source, seed)
    if found is None:
        return
    x0, y0, x1, y1 = found.patches[0]["destination"]
    expected = destination.astype(float)
    expected[y0:y1, x0:x1] *= 1 - factor
    expected[y0:y1, x0:x1] += factor * source[y0:y1, x0:x1]
    np.testing.assert_allclose(found.image, expected, atol=0.5 + 1e-6)
    assert found.label.max() == np.float32(factor)


def test_fpi_by_hand() -> None:
    case = FPI.changed(half_width=(0.25, 0.25), centre=0.0, factor_bounds=(0.25, 0.25))
    found = case.make(plain(40), plain(80), 0)
    assert found is not None
    inside = np.zeros((48, 48), bool)
    inside[12:36, 12:36] = True
    np.testing.assert_array_equal(found.image[..., 0], np.where(inside, 50, 40))
    np.testing.assert_array_equal(found.mask, inside)
    np.testing.assert_array_equal(found.label, 0.25 * inside)
    assert found.boxes == ((12, 12, 36, 36),)


def test_label_is_set_only_where_the_images_differ() -> None:
    destination = np.random.default_rng(0).integers(0, 100, (64, 64, 3), np.uint8)
    source = destination.copy()
    source[:, 40:] += 100
    case = FPI.changed(half_width=(0.3, 0.3), centre=0.0, factor_bounds=(0.5, 0.5))
    found = case.make(destination, source, 0)
    assert found is not None
    assert found.patches[0]["source"] == [13, 13, 51, 51]
    assert found.boxes == ((40, 13, 51, 51),)
    assert (found.label[13:51, 40:51] == 0.5).all()


@pytest.mark.parametrize("clone", ["normal", "mixed"])
@given(side=sides, seed=seeds, factor=factors)
@few
def test_pii_blends_with_the_factor(clone: CloneMode, side: int, seed: int, factor: float) -> None:
    case = PII.changed(clone=clone, factor_bounds=(factor, factor))
    destination, source = textured(side, side, seed), textured(side, side, seed + 1)
    found = case.make(destination, source, seed)
    if found is None:
        return
    x0, y0, x1, y1 = found.patches[0]["destination"]
    patch, whole = source[y0:y1, x0:x1], np.ones((y1 - y0, x1 - x0), bool)
    expected = seamless_clone(destination, patch, whole, (y0, x0), clone, factor)
    np.testing.assert_array_equal(found.image, expected)


@pytest.mark.parametrize("case", [FPI, PII], ids=["fpi", "pii"])
def test_larger_factor_changes_more(case: Case) -> None:
    destination, source = textured(64, 64, 0), textured(64, 64, 1)
    changes = []
    for factor in (0.2, 0.5, 0.9):
        found = case.changed(factor_bounds=(factor, factor)).make(destination, source, 4)
        assert found is not None
        changes.append(np.abs(destination.astype(float) - found.image).sum())
    assert changes[0] < changes[1] < changes[2]


def test_pii_does_not_blend_too_small_a_square() -> None:
    case = PII.changed(half_width=(0.05, 0.05))
    assert case.make(textured(48, 48, 0), textured(48, 48, 1), 0) is None


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"half_width": (0.2, 0.05)}, id="bounds-descend"),
        pytest.param({"half_width": (0.1, 0.6)}, id="wider-than-the-image"),
        pytest.param({"factor_bounds": (0.0, 0.5)}, id="no-factor"),
        pytest.param({"centre": 1.1}, id="more-than-all"),
        pytest.param({"color": 1}, id="unknown"),
    ],
)
def test_wrong_settings_are_refused(values: dict[str, object]) -> None:
    for model in (FPISettings, PIISettings):
        with pytest.raises(ValidationError):
            model.model_validate(values)
