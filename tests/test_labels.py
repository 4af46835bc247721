"""What counts as changed, its labels and its boxes, against slow references."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nsa_images import few, seeds
from scipy import ndimage

from clflow.synthesis.labels import change_mask, disk_median, make_label, mean_change
from clflow.synthesis.synthetic import component_boxes


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
    continuous = make_label("continuous", change, mask, 0.5, 8.0, factor=0.3)
    assert change[20, 20] == 12
    assert binary[20, 20] == 1
    assert intensity[20, 20] == 12
    assert logistic[20, 20] == pytest.approx(1 / (1 + np.exp(-2)))
    np.testing.assert_array_equal(continuous, np.float32(0.3) * mask)
    assert intensity[0, 0] == logistic[0, 0] == 0
    assert mean_change(before, after, ~inside).sum() == 0


def test_change_of_just_the_tolerance_is_none() -> None:
    assert not change_mask(np.full((9, 9), 1.0, np.float32), 1.0).any()
    assert change_mask(np.full((9, 9), 1.01, np.float32), 1.0).all()


def test_median_fills_a_hole_and_drops_a_speck_unless_told_not_to() -> None:
    change = np.zeros((30, 30), np.float32)
    change[5:20, 5:20] = 9
    change[12, 12] = 0
    change[25, 25] = 9
    cleaned, raw = change_mask(change, 1.0), change_mask(change, 1.0, despeckle=False)
    assert (cleaned[12, 12], cleaned[25, 25]) == (True, False)
    np.testing.assert_array_equal(raw, change > 0)


@given(seed=seeds, share=st.floats(0, 1))
@few
def test_intensity_is_the_median_change_whatever_the_mask(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    change = (255 * rng.random((20, 26))).astype(np.float32)
    mask = rng.random(change.shape) < share
    y, x = np.ogrid[-5:6, -5:6]
    slow = ndimage.median_filter(change * mask, footprint=x**2 + y**2 <= 25, mode="nearest")
    np.testing.assert_array_equal(make_label("intensity", change, mask, 1.0, 1.0), slow)


@given(seed=seeds, density=st.floats(0, 0.6))
@few
def test_boxes_are_those_of_the_eight_connected_components(seed: int, density: float) -> None:
    mask = np.random.default_rng(seed).random((17, 23)) < density
    labelled, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    expected = {(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(labelled)}
    assert set(component_boxes(mask)) == expected
