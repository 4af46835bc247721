"""Fast sums against what they stand for."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clflow.synthesis.labels import channel_mean, majority


@given(seed=st.integers(0, 10_000), height=st.integers(1, 40), width=st.integers(1, 40))
def test_channel_mean_is_the_mean(seed: int, height: int, width: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    np.testing.assert_array_equal(channel_mean(image), image.mean(axis=2, dtype=np.float32))


@pytest.mark.parametrize("side", [5, 7])
@given(seed=st.integers(0, 10_000), height=st.integers(1, 40), density=st.floats(0, 1))
def test_majority_is_the_median(side: int, seed: int, height: int, density: float) -> None:
    pixels = np.random.default_rng(seed).random((height, 23)) < density
    expected = cv2.medianBlur(pixels.astype(np.uint8), side) > 0
    np.testing.assert_array_equal(majority(pixels, side), expected)
