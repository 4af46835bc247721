import tracemalloc
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from scored_maps import Masked, heavy_tailed, random_images, ranked
from sklearn.metrics import average_precision_score, roc_auc_score

from clflow.errors import DataError, SettingsError
from clflow.metrics.inputs import region_areas
from clflow.metrics.pixel import PixelScores, aupro_name

LIMITS = (0.3, 0.05, 0.5, 1.0)
Image = tuple[NDArray[np.floating], NDArray[np.bool_] | None]

NAMES = ["pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro_30", "aupro_05"]


def collected(images: Sequence[Image]) -> PixelScores:
    pixels = PixelScores()
    for score_map, mask in images:
        pixels.add(score_map, mask)
    return pixels


def measured(
    images: Sequence[Image], limits: Sequence[float] = (0.3, 0.05)
) -> dict[str, float | None]:
    return collected(images).metrics(limits)


def flood_regions(mask: NDArray[np.bool_]) -> list[set[tuple[int, int]]]:
    """Return the 8-connected regions as sets of pixels, by flood fill."""
    unseen, regions = {tuple(pixel) for pixel in np.argwhere(mask)}, []
    while unseen:
        region, front = set(), [unseen.pop()]
        while front:
            row, column = front.pop()
            region.add((row, column))
            around = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & unseen
            unseen -= around
            front.extend(around)
        regions.append(region)
    return regions


def aupro_by_thresholds(images: list[Masked], limit: float) -> float:
    """Measure FPR and mean region overlap at every threshold, cut at `limit`, integrate."""
    good = np.concatenate([scores[~mask] for scores, mask in images])
    regions = [
        np.array([scores[pixel] for pixel in region])
        for scores, mask in images
        for region in flood_regions(mask)
    ]
    points = [(0.0, 0.0)]
    for threshold in sorted({score for scores, _ in images for score in scores.flat}, reverse=True):
        overlap = np.mean([(region >= threshold).mean() for region in regions])
        points.append(((good >= threshold).mean(), overlap))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 >= limit or x1 == x0:
            continue
        end = min(x1, limit)
        y_end = y0 + (y1 - y0) * (end - x0) / (x1 - x0)
        area += (end - x0) * (y0 + y_end) / 2
    return area / limit


def f1_max_by_thresholds(labels: NDArray[np.bool_], scores: NDArray[np.float32]) -> float:
    best = 0.0
    for threshold in set(scores):
        hits = labels[scores >= threshold].sum()
        best = max(best, 2 * hits / ((scores >= threshold).sum() + labels.sum()))
    return best


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), levels=st.sampled_from([1, 2, 5, 30, 10**5]))
def test_metrics_equal_the_slow_definitions(seed: int, levels: int) -> None:
    images = random_images(seed, levels)
    scores = np.concatenate([score_map.ravel() for score_map, _ in images])
    labels = np.concatenate([mask.ravel() for _, mask in images])
    assert measured(images, LIMITS) == pytest.approx(
        {
            "pixel_auroc": roc_auc_score(labels, scores),
            "pixel_ap": average_precision_score(labels, scores),
            "pixel_f1_max": f1_max_by_thresholds(labels, scores),
            "aupro_30": aupro_by_thresholds(images, 0.3),
            "aupro_05": aupro_by_thresholds(images, 0.05),
            "aupro_50": aupro_by_thresholds(images, 0.5),
            "aupro_100": aupro_by_thresholds(images, 1.0),
        }
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), levels=st.sampled_from([1, 3, 30, 10**5]))
def test_metrics_depend_on_ranks_only_and_not_on_image_order(seed: int, levels: int) -> None:
    images = random_images(seed, levels)
    expected = pytest.approx(measured(images), abs=1e-12)
    assert measured(ranked(images)) == expected
    assert measured(heavy_tailed(images)) == expected
    assert measured(images[::-1]) == expected


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), levels=st.sampled_from([1, 3, 30, 10**5]))
def test_metrics_lie_between_0_and_1(seed: int, levels: int) -> None:
    assert all(0.0 <= value <= 1.0 for value in measured(random_images(seed, levels)).values())


def two_regions(found: float, missed: float, good: Sequence[float]) -> list[Masked]:
    """One map with a 2x2 region scoring `found`, a 1x3 region scoring `missed`, and good pixels."""
    mask = np.zeros((6, 6), dtype=bool)
    mask[:2, :2] = mask[5, 3:] = True
    scores = np.resize(np.asarray(good, dtype=np.float32), (6, 6))
    scores[:2, :2], scores[5, 3:] = found, missed
    return [(scores, mask)]


def row(good: list[float], defect: list[float]) -> list[Masked]:
    """One 1-pixel-high map: `good` scores, a good pixel scoring -9, then `defect`, one region."""
    scores = np.array([[*good, -9, *defect]], dtype=np.float32)
    return [(scores, np.arange(scores.size)[None] > len(good))]


def test_one_perfect_and_one_missed_region_give_half() -> None:
    result = measured(two_regions(found=9, missed=-1, good=range(8)), (0.3, 0.05, 1.0))
    assert result["aupro_30"] == result["aupro_05"] == pytest.approx(0.5)
    assert result["aupro_100"] == pytest.approx(0.5)
    assert result["pixel_auroc"] == pytest.approx(4 / 7)


def test_perfect_regions_give_exactly_one() -> None:
    result = measured(two_regions(found=9, missed=8, good=range(8)))
    assert result == dict.fromkeys(NAMES, 1.0)


def test_equal_scores_give_the_diagonal() -> None:
    result = measured(two_regions(found=2, missed=2, good=[2]))
    assert result["pixel_auroc"] == 0.5
    assert result["pixel_ap"] == pytest.approx(7 / 36)
    assert result["pixel_f1_max"] == pytest.approx(14 / 43)
    assert result["aupro_30"] == pytest.approx(0.15)
    assert result["aupro_05"] == pytest.approx(0.025)


def test_tie_of_good_and_defect_is_a_slanted_segment() -> None:
    # Of four good pixels one ties with the only defect pixel: (0, 0) to (0.25, 1), then level.
    result = measured(row(good=[1, 0, 0], defect=[1]))
    assert result["pixel_auroc"] == pytest.approx(0.875)
    assert result["aupro_30"] == pytest.approx((0.125 + 0.05) / 0.3)
    assert result["aupro_05"] == pytest.approx(0.1)


def test_limit_on_an_upright_step_takes_none_of_the_step() -> None:
    result = measured(row(good=[4, 2, 1], defect=[5, 3]), (0.25, 0.5, 1.0))
    assert result["aupro_25"] == pytest.approx(0.5)
    assert result["aupro_50"] == pytest.approx(0.75)
    assert result["aupro_100"] == pytest.approx(0.875)


def test_regions_that_touch_at_a_corner_are_one() -> None:
    mask = np.zeros((7, 7), dtype=bool)
    mask[1, 1] = mask[2, 2] = mask[5, 5] = True
    assert region_areas(mask).tolist() == [2, 2, 1]
    scores = np.zeros((7, 7), dtype=np.float32)
    scores[1, 1], scores[2, 2], scores[5, 5] = 1, -1, 1
    # Two regions, found by half and whole; three regions would give 2/3.
    assert measured([(scores, mask)])["aupro_05"] == pytest.approx(0.75)


def test_region_on_the_border_counts_like_one_inside() -> None:
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(8, 8)).astype(np.float32)
    mask = np.zeros((8, 8), dtype=bool)
    mask[3:5, 3:6] = mask[1, 1:3] = True
    to_corner = (np.roll(scores, (3, 2), (0, 1)), np.roll(mask, (3, 2), (0, 1)))
    assert to_corner[1][6:, 5:].all()
    assert region_areas(to_corner[1]).tolist() == [2, 2, 6, 6, 6, 6, 6, 6]
    assert measured([to_corner]) == pytest.approx(measured([(scores, mask)]))


def test_every_region_counts_the_same_whatever_its_area() -> None:
    small_found = measured(two_regions(found=-1, missed=9, good=range(8)))
    large_found = measured(two_regions(found=9, missed=-1, good=range(8)))
    assert small_found["aupro_30"] == pytest.approx(large_found["aupro_30"])
    assert small_found["pixel_auroc"] < large_found["pixel_auroc"]


@pytest.mark.parametrize(
    "images",
    [
        pytest.param([], id="no image"),
        pytest.param([(np.eye(4, dtype=np.float32), None)], id="no mask"),
        pytest.param([(np.eye(4), np.zeros((4, 4), bool))], id="empty mask"),
        pytest.param([(np.eye(4), np.ones((4, 4), bool))], id="no good pixel"),
    ],
)
def test_one_class_alone_is_undefined_and_not_zero(images: list[Image]) -> None:
    assert measured(images) == dict.fromkeys(NAMES)
    assert collected(images).curves() is None


def test_image_without_defects_counts_like_an_empty_mask() -> None:
    images = random_images(seed=5, levels=20)
    without_mask = [(images[0][0], None), *images[1:]]
    assert measured(without_mask) == measured(images)


def test_maps_can_be_added_after_measuring_and_reused_by_the_caller() -> None:
    images = random_images(seed=8, levels=20)
    pixels = collected(images[:2])
    early = pixels.metrics()
    for score_map, mask in images[2:]:
        buffer = score_map.copy()
        pixels.add(buffer, mask)
        buffer[:] = 0
    buffer[:] = 7
    pixels.add(buffer, None)
    images.append((buffer.copy(), None))
    buffer[:] = 0
    assert early == measured(images[:2])
    assert pixels.metrics() == pytest.approx(measured(images))


def test_maps_of_other_images_score_by_chance() -> None:
    rng = np.random.default_rng(11)
    mask = np.zeros((24, 24), dtype=bool)
    mask[4:10, 5:12] = mask[16:19, 14:20] = True
    scores = (mask + rng.normal(scale=0.3, size=mask.shape)).astype(np.float32)
    true = measured([(scores, mask)])
    shuffled = [
        measured([(rng.permutation(scores.ravel()).reshape(24, 24), mask)]) for _ in range(80)
    ]
    assert true["pixel_auroc"] > 0.97
    assert true["aupro_30"] > 0.9
    mean = {name: np.mean([result[name] for result in shuffled]) for name in NAMES}
    assert mean["pixel_auroc"] == pytest.approx(0.5, abs=0.02)
    assert mean["pixel_ap"] == pytest.approx(mask.mean(), abs=0.02)
    assert mean["aupro_30"] == pytest.approx(0.15, abs=0.02)
    assert mean["aupro_05"] == pytest.approx(0.025, abs=0.01)


def peak_bytes(images: int) -> int:
    """Return the peak memory of measuring maps of 100 x 100, of which a tenth is defective."""
    rng, mask = np.random.default_rng(1), np.arange(10_000).reshape(100, 100) < 1000
    tracemalloc.start()
    pixels = PixelScores()
    for _ in range(images):
        pixels.add(rng.standard_normal(mask.shape, dtype=np.float32), mask)
    pixels.metrics()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_grows_with_the_number_of_pixels() -> None:
    assert peak_bytes(40) < 2.1 * peak_bytes(20)


@pytest.mark.parametrize(
    ("limit", "name"),
    [
        (0.3, "aupro_30"),
        (0.05, "aupro_05"),
        (0.07, "aupro_07"),
        (0.005, "aupro_0.5"),
        (1, "aupro_100"),
    ],
)
def test_aupro_is_named_by_its_limit_in_percent(limit: float, name: str) -> None:
    assert aupro_name(limit) == name


@pytest.mark.parametrize("limit", [0.0, -0.1, 1.5, float("nan")])
def test_limit_outside_its_range_is_named(limit: float) -> None:
    with pytest.raises(SettingsError, match=f"AUPRO limit {limit}"):
        PixelScores().metrics((0.3, limit))


@pytest.mark.parametrize(
    ("score_map", "mask", "message"),
    [
        pytest.param([[0, np.nan], [np.inf, 1]], None, "2 of 4 pixel scores", id="not finite"),
        pytest.param(np.zeros((1, 4, 4)), None, r"shape \(1, 4, 4\)", id="three axes"),
        pytest.param(np.zeros((4, 4)), np.zeros((4, 5), bool), r"\(4, 5\)", id="other shape"),
        pytest.param(np.zeros((4, 4)), np.zeros((4, 4), np.uint8), "type uint8", id="not bool"),
    ],
)
def test_bad_maps_and_masks_are_named(
    score_map: ArrayLike, mask: NDArray[Any] | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        PixelScores().add(np.asarray(score_map, dtype=np.float32), mask)
