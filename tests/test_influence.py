"""Influence of images on areas, against derivatives of weighted definitions and DeLong's parts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scored_maps import Masked, random_images

from clflow.metrics.inputs import region_areas
from clflow.metrics.pixel import PixelScores
from clflow.statistics.delong import placements

# no rate of false positives in small maps is equal to it: there the area has a kink
LIMIT = 0.3137
STEP = 1e-6

Values = NDArray[np.float64]


def distinct(images: list[Masked], seed: int) -> list[Masked]:
    """Give every pixel a score of its own, higher on defects."""
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=m.shape) + m, mask) for m, mask in images]


def influences(images: list[Masked], limit: float = LIMIT) -> dict[str, Values]:
    return collected(images).influences(images, (limit,))


def collected(images: list[Masked]) -> PixelScores:
    pixels = PixelScores()
    for scores, mask in images:
        pixels.add(scores, mask)
    return pixels


def weighted_area(images: list[Masked], weights: Values, limit: float, by_region: bool) -> float:
    """Return the area under the curve if each image counted `weights` times, ties half."""
    good = np.concatenate([scores[~mask] for scores, mask in images])
    good_weight = np.repeat(weights, [(~mask).sum() for _, mask in images])
    area = total = 0.0
    for weight, (scores, mask) in zip(weights, images, strict=True):
        own = 1 / region_areas(mask) if by_region else np.ones(mask.sum())
        for score, share in zip(scores[mask], own, strict=True):
            above = good_weight @ ((good > score) + 0.5 * (good == score))
            area += weight * share * max(0.0, limit - above / good_weight.sum())
        total += weight * own.sum()
    return area / total / limit


def derivatives(images: list[Masked], limit: float, by_region: bool) -> Values:
    def moved(index: int, step: float) -> float:
        weights = np.ones(len(images))
        weights[index] += step
        return weighted_area(images, weights, limit, by_region)

    return np.array([(moved(i, STEP) - moved(i, -STEP)) / (2 * STEP) for i in range(len(images))])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_influence_is_the_derivative_by_the_weight_of_an_image(seed: int) -> None:
    images = distinct(random_images(seed, 5), seed)
    images = [(scores.astype(np.float32), mask) for scores, mask in images]
    found = influences(images)
    metrics = collected(images).metrics((LIMIT,))
    for name, limit, by_region in (("pixel_auroc", 1.0, False), ("aupro_31.37", LIMIT, True)):
        assert metrics[name] == pytest.approx(
            weighted_area(images, np.ones(len(images)), limit, by_region)
        )
        np.testing.assert_allclose(
            found[name], derivatives(images, limit, by_region), rtol=1e-5, atol=1e-8
        )
        assert abs(found[name].sum()) < 1e-12


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), levels=st.sampled_from([2, 5, 30]))
def test_ties_count_half_in_the_influence_on_auroc(seed: int, levels: int) -> None:
    images = random_images(seed, levels)
    expected = derivatives(images, 1.0, by_region=False)
    np.testing.assert_allclose(influences(images)["pixel_auroc"], expected, rtol=1e-5, atol=1e-8)


def test_order_of_images_and_scale_of_scores_do_not_matter() -> None:
    images = distinct(random_images(7, 5), 7)
    turned = [(np.exp(scores), mask) for scores, mask in images[::-1]]
    for name, values in influences(images).items():
        np.testing.assert_allclose(influences(turned)[name][::-1], values, atol=1e-12)


def test_with_one_pixel_an_image_it_is_delongs() -> None:
    rng = np.random.default_rng(3)
    labels = np.repeat([0, 1], [9, 6])
    scores = (rng.normal(size=15) + labels).astype(np.float32)
    images = [
        (s.reshape(1, 1), np.full((1, 1), bool(t))) for s, t in zip(scores, labels, strict=True)
    ]
    parts = placements(labels, scores)
    expected = [*(parts.good - parts.auroc) / 9, *(parts.anomalous - parts.auroc) / 6]
    np.testing.assert_allclose(influences(images)["pixel_auroc"], expected, atol=1e-12)


@pytest.mark.parametrize("mask", [np.zeros((2, 2), dtype=bool), np.ones((2, 2), dtype=bool)])
def test_without_both_kinds_of_pixels_there_is_none(mask: NDArray[np.bool_]) -> None:
    assert influences([(np.eye(2, dtype=np.float32), mask)]) == {}


def test_variance_of_aupro_is_that_of_resampled_images() -> None:
    """The bootstrap weighs whole images at random, without any theory."""
    rng = np.random.default_rng(5)
    images = distinct([image for seed in range(12) for image in random_images(seed, 5)], 5)
    anomalous = np.array([mask.any() for _, mask in images])
    values = []
    for _ in range(400):
        weights = np.zeros(len(images))
        for group in (np.flatnonzero(anomalous), np.flatnonzero(~anomalous)):
            weights += np.bincount(rng.choice(group, len(group)), minlength=len(images))
        values.append(weighted_area(images, weights, LIMIT, by_region=True))
    moves = influences(images)["aupro_31.37"]
    found = sum(moves[group].var() * group.sum() for group in (anomalous, ~anomalous))
    assert np.std(values) == pytest.approx(np.sqrt(found), rel=0.12)
