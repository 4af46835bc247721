"""The Poisson blend: equal to `cv2.seamlessClone`, and its solver to a direct sparse solve."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import diags_array, eye_array, kron
from scipy.sparse.linalg import spsolve

from clflow.errors import DataError, SettingsError
from clflow.synthesis.blending import CloneMode, seamless_clone, solve_poisson

FLAGS = {"normal": cv2.NORMAL_CLONE, "mixed": cv2.MIXED_CLONE}
MODES: list[CloneMode] = ["normal", "mixed"]
SIDE = 96

Size = tuple[int, int]


def noise(rng: np.random.Generator, size: Size) -> NDArray[np.uint8]:
    return rng.integers(0, 256, (*size, 3), np.uint8)


def smooth(rng: np.random.Generator, size: Size) -> NDArray[np.uint8]:
    waves = cv2.GaussianBlur(rng.standard_normal((*size, 3)), (0, 0), rng.uniform(1, 8))
    return np.clip(128 + 60 * waves / (np.std(waves) + 1e-9), 0, 255).astype(np.uint8)


def saturated(rng: np.random.Generator, size: Size) -> NDArray[np.uint8]:
    return (255 * rng.integers(0, 2, (*size, 3))).astype(np.uint8)


def step(rng: np.random.Generator, size: Size) -> NDArray[np.uint8]:
    image = np.zeros((*size, 3), np.uint8)
    image[:, int(rng.integers(1, size[1])) :] = 255
    return image


def flat(rng: np.random.Generator, size: Size) -> NDArray[np.uint8]:
    return np.full((*size, 3), rng.integers(0, 256), np.uint8)


TEXTURES: list[Callable[[np.random.Generator, Size], NDArray[np.uint8]]]
TEXTURES = [noise, smooth, saturated, step, flat]


def ellipses(rng: np.random.Generator, size: Size) -> NDArray[np.bool_]:
    """Return the union of up to three ellipses, partly outside of the mask [h, w]."""
    mask = np.zeros(size, np.uint8)
    for _ in range(rng.integers(1, 4)):
        y, x = (int(rng.integers(0, length)) for length in size)
        axes = [int(rng.integers(2, 3 + length)) for length in size]
        cv2.ellipse(mask, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    return mask.astype(bool)


def holes(rng: np.random.Generator, size: Size) -> NDArray[np.bool_]:
    return rng.random(size) < 0.99


@dataclass(frozen=True)
class Clone:
    """Arguments of one blend."""

    destination: NDArray[np.uint8]
    patch: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    corner: tuple[int, int]
    mode: CloneMode
    factor: float

    def ours(self) -> NDArray[np.uint8]:
        blended = seamless_clone(
            self.destination, self.patch, self.mask, self.corner, self.mode, self.factor
        )
        return reject() if blended is None else blended

    def box(self) -> tuple[int, int, int, int]:
        """Return x, y, width and height of the mask without its frame, in the patch."""
        x, y, width, height = cv2.boundingRect(self.mask[1:-1, 1:-1].astype(np.uint8))
        return x + 1, y + 1, width, height

    def opencv(self) -> NDArray[np.uint8]:
        """Return OpenCV's clone, its centre that of the mask's box."""
        mask = np.zeros(self.mask.shape, np.uint8)
        mask[1:-1, 1:-1] = ceil(255 * self.factor) * self.mask[1:-1, 1:-1]
        x, y, width, height = self.box()
        centre = (self.corner[1] + x + width // 2, self.corner[0] + y + height // 2)
        image = cv2.seamlessClone(self.patch, self.destination, mask, centre, FLAGS[self.mode])
        return np.asarray(image, np.uint8)


@st.composite
def clones(draw: st.DrawFn) -> Clone:
    """Blends anywhere in an image, also along its borders and in its corners."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.tuples(*[st.integers(5, SIDE)] * 2))
    corner = [
        draw(st.sampled_from([0, SIDE - length]) | st.integers(0, SIDE - length)) for length in size
    ]
    make_mask = draw(st.sampled_from([ellipses, holes, lambda _, size: np.ones(size, bool)]))
    below, above = draw(st.sampled_from(TEXTURES)), draw(st.sampled_from(TEXTURES))
    return Clone(
        destination=below(rng, (SIDE, SIDE)),
        patch=above(rng, size),
        mask=make_mask(rng, size),
        corner=(corner[0], corner[1]),
        mode=draw(st.sampled_from(MODES)),
        factor=draw(st.just(1.0) | st.floats(0.01, 1.0)),
    )


@settings(max_examples=300, deadline=None)
@given(clone=clones())
def test_equals_opencv_within_one_grey_level(clone: Clone) -> None:
    assert np.abs(np.subtract(clone.ours(), clone.opencv(), dtype=int)).max() <= 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(200, 201), (113, 60)])
def test_equals_opencv_nearly_everywhere_on_large_patches(mode: CloneMode, size: Size) -> None:
    # OpenCV computes in float32 and rounds down: a few values fall on the other side of a level
    rng = np.random.default_rng(0)
    clone = Clone(
        smooth(rng, (256, 256)), smooth(rng, size), np.ones(size, bool), (40, 50), mode, 0.7
    )
    difference = np.abs(np.subtract(clone.ours(), clone.opencv(), dtype=int))
    assert difference.max() <= 1
    assert np.count_nonzero(difference) < 0.05 * 3 * size[0] * size[1]


@settings(deadline=None)
@given(clone=clones())
def test_changes_only_the_box_of_the_mask_less_its_rim(clone: Clone) -> None:
    inputs = [array.copy() for array in (clone.destination, clone.patch, clone.mask)]
    blended = clone.ours()
    for array, copy in zip((clone.destination, clone.patch, clone.mask), inputs, strict=True):
        np.testing.assert_array_equal(array, copy)
    # The box lies 1 px inside a full mask already, and its own border stays
    x, y, width, height = clone.box()
    top, left = clone.corner[0] + y + 1, clone.corner[1] + x + 1
    outside = np.ones((SIDE, SIDE), bool)
    outside[top : top + height - 2, left : left + width - 2] = False
    np.testing.assert_array_equal(blended[outside], clone.destination[outside])


@settings(deadline=None)
@given(clone=clones(), offset=st.integers(-20, 20))
def test_a_patch_with_the_gradients_below_it_changes_nothing(clone: Clone, offset: int) -> None:
    (y, x), (height, width) = clone.corner, clone.mask.shape
    below = np.clip(clone.destination, 20, 235)
    same = (below[y : y + height, x : x + width].astype(int) + offset).astype(np.uint8)
    np.testing.assert_array_equal(replace(clone, destination=below, patch=same).ours(), below)


@settings(deadline=None)
@given(size=st.tuples(*[st.integers(12, SIDE)] * 2), seed=st.integers(0, 2**32 - 1))
def test_a_patch_that_differs_well_inside_is_kept_to_the_grey_level(size: Size, seed: int) -> None:
    rng = np.random.default_rng(seed)
    destination = noise(rng, (SIDE, SIDE))
    patch = destination[: size[0], : size[1]].copy()
    patch[5:-5, 5:-5] = noise(rng, (size[0] - 10, size[1] - 10))
    expected = destination.copy()
    expected[: size[0], : size[1]] = patch
    blended = seamless_clone(destination, patch, np.ones(size, bool), (0, 0), "normal")
    np.testing.assert_array_equal(blended, expected)


@pytest.mark.parametrize("mode", MODES)
def test_the_factor_scales_the_change(mode: CloneMode) -> None:
    rng = np.random.default_rng(1)
    destination = np.full((64, 64, 3), 128, np.uint8)
    patch, mask = rng.integers(100, 140, (40, 40, 3), np.uint8), np.ones((40, 40), bool)
    change = {}
    for factor in (0.2, 1.0):
        blended = seamless_clone(destination, patch, mask, (9, 9), mode, factor)
        assert blended is not None
        change[factor] = np.subtract(blended, destination, dtype=float)
    assert np.abs(change[1.0]).max() > 10
    # 51 / 255, each change rounded down by less than one level
    assert np.abs(change[0.2] - 0.2 * change[1.0]).max() < 1


@pytest.mark.parametrize("factor", [0.0, -0.5, 1.01, float("nan")])
def test_a_factor_outside_its_range_is_refused(factor: float) -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    with pytest.raises(SettingsError, match="factor"):
        seamless_clone(image, image, np.ones((20, 20), bool), (0, 0), "normal", factor)


@pytest.mark.parametrize("corner", [(-1, 0), (0, 11), (11, 0), (0, -3)])
def test_a_patch_that_leaves_the_image_is_refused(corner: tuple[int, int]) -> None:
    image, patch = np.zeros((20, 20, 3), np.uint8), np.zeros((10, 10, 3), np.uint8)
    with pytest.raises(DataError, match="leaves the image"):
        seamless_clone(image, patch, np.ones((10, 10), bool), corner, "normal")


def test_a_mask_of_another_size_is_refused() -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    with pytest.raises(DataError, match="differ in size"):
        seamless_clone(image, image, np.ones((20, 19), bool), (0, 0), "normal")


def second_difference(size: int) -> Any:
    return diags_array([1.0, -2.0, 1.0], offsets=[-1, 0, 1], shape=(size, size))


@settings(deadline=None, max_examples=40)
@given(size=st.tuples(*[st.integers(1, 40)] * 2), seed=st.integers(0, 2**32 - 1))
def test_solver_equals_a_sparse_solve(size: Size, seed: int) -> None:
    laplacian = np.random.default_rng(seed).uniform(-2000, 2000, (2, *size))
    height, width = size
    matrix = kron(eye_array(height), second_difference(width))
    matrix = (matrix + kron(second_difference(height), eye_array(width))).tocsc()
    expected = [spsolve(matrix, plane.ravel()).reshape(size) for plane in laplacian]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(solve_poisson(laplacian), expected, rtol=0, atol=1e-9 * scale)


def test_solver_is_exact_at_the_sizes_of_large_patches() -> None:
    laplacian = np.random.default_rng(0).uniform(-2000, 2000, (3, 203, 190))
    framed = np.pad(solve_poisson(laplacian), ((0, 0), (1, 1), (1, 1)))
    again = framed[:, 1:-1, 2:] + framed[:, 1:-1, :-2] + framed[:, 2:, 1:-1] + framed[:, :-2, 1:-1]
    again -= 4 * framed[:, 1:-1, 1:-1]
    np.testing.assert_allclose(again, laplacian, rtol=0, atol=1e-8)
