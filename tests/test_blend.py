"""Blending: which pixels change, and what of the texture below stays."""

import numpy as np
import pytest
from nsa_images import textured

from clflow.synthesis.blending import CloneMode, seamless_clone


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
