import re
import tracemalloc
from collections.abc import Sequence
from itertools import pairwise
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from scored_maps import Masked, heavy_tailed, random_images, ranked

from clflow.errors import DataError, SettingsError
from clflow.metrics.pimo import Aupimo, PimoScores

WIDE = (0.125, 0.9)
DECADE = (0.01, 0.1)
Image = tuple[NDArray[np.floating], NDArray[np.bool_] | None]


def measured(images: Sequence[Image], bounds: tuple[float, float]) -> Aupimo:
    pimo = PimoScores(bounds)
    for score_map, mask in images:
        pimo.add(score_map, mask)
    return pimo.measure()


def one_good_more(seed: int, levels: int) -> list[Masked]:
    """Maps of different sizes, the first and the last good, the others speckled with defects."""
    images = random_images(seed, levels)
    scores, mask = random_images(seed + 1, levels)[-1]
    return [*images, (scores, np.zeros_like(mask))]


def aupimo_by_thresholds(images: list[Masked], bounds: tuple[float, float]) -> list[float]:
    """Walk down all thresholds, hold each image's recall up to the next rate, integrate."""
    good = [scores for scores, mask in images if not mask.any()]
    every = sorted({score for scores, _ in images for score in scores.flat}, reverse=True)
    rates = [np.mean([(scores >= threshold).mean() for scores in good]) for threshold in every]
    values = []
    for scores, mask in images:
        if not mask.any():
            values.append(np.nan)
            continue
        recalls = [(scores[mask] >= threshold).mean() for threshold in every]
        area = 0.0
        for start, end in pairwise([0.0, *sorted(set(rates) - {0.0})]):
            recall = max((t for f, t in zip(rates, recalls, strict=True) if f <= start), default=0)
            left, right = np.clip([start, end], *bounds)
            area += recall * log(right / left)
        values.append(area / log(bounds[1] / bounds[0]))
    return values


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    levels=st.sampled_from([1, 2, 5, 30, 10**5]),
    bounds=st.sampled_from([WIDE, (0.2, 0.3), (0.06, 0.5)]),
)
def test_values_equal_the_slow_definition(
    seed: int, levels: int, bounds: tuple[float, float]
) -> None:
    images = one_good_more(seed, levels)
    expected = aupimo_by_thresholds(images, bounds)
    aupimo = measured(images, bounds)
    assert aupimo.undefined is None
    assert aupimo.per_image == pytest.approx(expected, nan_ok=True)
    assert aupimo.mean == pytest.approx(np.nanmean(expected))
    assert all(0 <= value <= 1 for value in aupimo.per_image if not np.isnan(value))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), levels=st.sampled_from([1, 3, 30, 10**5]))
def test_values_depend_on_ranks_only_and_not_on_image_order(seed: int, levels: int) -> None:
    images = one_good_more(seed, levels)
    expected = pytest.approx(measured(images, WIDE).per_image, abs=1e-12, nan_ok=True)
    assert measured(ranked(images), WIDE).per_image == expected
    assert measured(heavy_tailed(images), WIDE).per_image == expected
    assert measured(images[::-1], WIDE).per_image[::-1] == expected


def ladder() -> NDArray[np.float32]:
    """Return a map of 100 pixels that score 0 to 99."""
    return np.arange(100, dtype=np.float32).reshape(10, 10)


def defects(*scores: float, good: float = 1e9) -> Masked:
    """Return a map with these defect pixels, and a good one that no threshold may heed."""
    values = np.array([[*scores, good]], dtype=np.float32)
    return values, np.arange(values.size)[None] < len(scores)


@pytest.mark.parametrize(
    ("score", "value"),
    [
        pytest.param(200, 1.0, id="above all good pixels"),
        pytest.param(99, 1.0, id="found from the lower bound on"),
        pytest.param(98, 0.69897, id="found from two of a hundred on"),
        pytest.param(97.5, 0.69897, id="between two good pixels"),
        pytest.param(95, 0.30103, id="found from five of a hundred on"),
        pytest.param(90, 0.0, id="found at the upper bound"),
        pytest.param(-1, 0.0, id="below all good pixels"),
    ],
)
def test_a_pixel_counts_from_its_own_rate_to_the_upper_bound(score: float, value: float) -> None:
    aupimo = measured([(ladder(), None), defects(score)], DECADE)
    assert aupimo.per_image == pytest.approx([np.nan, value], abs=1e-5, nan_ok=True)


def test_an_image_is_the_mean_of_its_pixels_and_the_mean_that_of_images() -> None:
    aupimo = measured(
        [defects(200, 98, 95, 10), (ladder(), None), defects(99), defects(0, 1)], DECADE
    )
    assert aupimo.per_image == pytest.approx([0.5, np.nan, 1.0, 0.0], nan_ok=True)
    assert aupimo.mean == pytest.approx(0.5)


def test_every_good_image_weighs_the_same_whatever_its_size() -> None:
    quiet = np.full((10, 20), -1, dtype=np.float32)
    aupimo = measured([(ladder(), None), (quiet, None), defects(90)], DECADE)
    # ten of a hundred in one image of two: a rate of 0.05
    assert aupimo.mean == pytest.approx(log(2) / log(10))


@pytest.mark.parametrize("bounds", [(1e-5, 1e-4), DECADE, WIDE, (0.2, 0.3)])
def test_perfect_maps_give_exactly_one(bounds: tuple[float, float]) -> None:
    good = np.zeros((400, 400), dtype=np.float32)
    assert measured([(good, None), defects(*range(1, 8))], bounds).mean == 1


def test_defects_tied_with_all_good_pixels_are_not_found() -> None:
    equal = np.ones((10, 10), dtype=np.float32)
    assert measured([(equal, None), defects(1, 1, good=1)], DECADE).mean == 0


def test_empty_mask_is_a_good_image() -> None:
    images = [(ladder(), np.zeros((10, 10), bool)), defects(95)]
    without_mask = [(ladder(), None), defects(95)]
    first, second = (measured(pair, DECADE).per_image for pair in (images, without_mask))
    assert first == pytest.approx(second, nan_ok=True)


def test_scores_are_copied() -> None:
    pimo, buffer = PimoScores(DECADE), ladder()
    pimo.add(buffer, None)
    buffer[:] = 1e6
    pimo.add(*defects(95))
    assert pimo.measure().mean == pytest.approx(log(2) / log(10))


def test_maps_that_know_nothing_score_by_chance() -> None:
    rng = np.random.default_rng(4)
    mask = np.zeros((40, 40), bool)
    mask[5:25, 8:30] = True
    good = [(rng.normal(size=(40, 40)), None) for _ in range(30)]
    aupimo = measured([*good, *((rng.normal(size=(40, 40)), mask) for _ in range(100))], DECADE)
    # the recall of chance is the rate itself, whose mean over its logarithm this is
    assert aupimo.mean == pytest.approx((0.1 - 0.01) / log(10), abs=0.003)


def test_default_bounds_resolve_a_hundred_thousandth() -> None:
    rng = np.random.default_rng(5)
    good = rng.permutation(200_000).astype(np.float32).reshape(400, 500)
    # three highest of 200 000 are a rate of 1.5e-5, twenty are the upper bound
    aupimo = measured([(good, None), defects(199_997), defects(199_980)], (1e-5, 1e-4))
    assert aupimo.per_image[1:] == pytest.approx([1 - np.log10(1.5), 0.0])


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        pytest.param([], "no good image", id="no image"),
        pytest.param([defects(1)], "no good image", id="no good image"),
        pytest.param([(ladder(), None)], "no anomalous image", id="no anomalous image"),
        pytest.param(
            [(ladder()[:, 1:], None), defects(1)],
            "of 1 good images is a false-positive rate of 0.011, more than the lower bound 0.01",
            id="few pixels",
        ),
        pytest.param(
            [(ladder(), None), (ladder()[:4], None), defects(1)],
            "of 2 good images is a false-positive rate of 0.013",
            id="one pixel of the smaller image is too much",
        ),
    ],
)
def test_what_cannot_be_resolved_is_undefined_and_says_why(
    images: list[Image], reason: str
) -> None:
    aupimo = measured(images, DECADE)
    assert aupimo.mean is None
    assert len(aupimo.per_image) == len(images)
    assert np.isnan(aupimo.per_image).all()
    assert re.search(reason, aupimo.undefined or "")


@pytest.mark.parametrize("bounds", [(0.0, 0.1), (0.1, 0.1), (0.2, 0.1), (0.1, 1.5), (np.nan, 1)])
def test_bounds_that_are_no_rates_are_named(bounds: tuple[float, float]) -> None:
    with pytest.raises(SettingsError, match="AUPIMO bounds"):
        PimoScores(bounds)


@pytest.mark.parametrize(
    ("score_map", "mask"),
    [
        pytest.param([[0, np.nan]], None, id="not finite"),
        pytest.param([0, 1], None, id="one axis"),
        pytest.param([[0, 1]], np.zeros((2, 1), bool), id="other shape"),
        pytest.param([[0, 1]], np.zeros((1, 2), np.uint8), id="not bool"),
    ],
)
def test_bad_maps_and_masks_are_refused(
    score_map: ArrayLike, mask: NDArray[np.bool_] | None
) -> None:
    with pytest.raises(DataError):
        PimoScores().add(np.asarray(score_map, dtype=np.float32), mask)


def test_memory_is_little_more_than_that_of_the_good_pixels() -> None:
    rng, count, side = np.random.default_rng(0), 30, 200
    pimo = PimoScores()
    tracemalloc.start()
    for _ in range(count):
        pimo.add(rng.standard_normal((side, side), dtype=np.float32), None)
    pimo.add(*defects(3, 4))
    pimo.measure()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.3 * 4 * count * side**2
