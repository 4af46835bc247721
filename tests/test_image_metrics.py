from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clflow.errors import DataError
from clflow.metrics.image import IMAGE_METRICS, image_metrics

Column = NDArray[Any]
Pairs = list[tuple[int, float]]

SCORED_LABELS = st.lists(
    st.tuples(st.sampled_from([0, 1]), st.sampled_from([-2.5, -1.0, 0.0, 0.5, 3.0, 1e6])),
    min_size=1,
    max_size=30,
)


def auroc_of_pairs(labels: Column, scores: Column) -> float:
    good, bad = scores[labels == 0], scores[labels == 1]
    wins = (bad[:, None] > good).mean()
    return wins + 0.5 * (bad[:, None] == good).mean()


def average_precision_by_thresholds(labels: Column, scores: Column) -> float:
    total, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        flagged = scores >= threshold
        recall = labels[flagged].sum() / labels.sum()
        total += (recall - recall_before) * labels[flagged].mean()
        recall_before = recall
    return total


def f1_max_by_thresholds(labels: Column, scores: Column) -> float:
    best = 0.0
    for threshold in set(scores):
        flagged = scores >= threshold
        hits = labels[flagged].sum()
        best = max(best, 2 * hits / (flagged.sum() + labels.sum()))
    return best


@settings(max_examples=60, deadline=None)
@given(SCORED_LABELS)
def test_metrics_equal_the_definitions_with_many_ties(pairs: Pairs) -> None:
    labels, scores = (np.array(column) for column in zip(*pairs, strict=True))
    measured = image_metrics(labels, scores)
    if len(set(labels.tolist())) == 1:
        assert measured == dict.fromkeys(IMAGE_METRICS)
        return
    assert measured["image_auroc"] == pytest.approx(auroc_of_pairs(labels, scores))
    assert measured["image_ap"] == pytest.approx(average_precision_by_thresholds(labels, scores))
    assert measured["image_f1_max"] == pytest.approx(f1_max_by_thresholds(labels, scores))


@settings(max_examples=30, deadline=None)
@given(SCORED_LABELS, st.randoms(use_true_random=False))
def test_metrics_depend_on_ranks_only_and_not_on_order(pairs: Pairs, random: Random) -> None:
    labels, scores = (np.array(column) for column in zip(*pairs, strict=True))
    ranks = np.unique(scores, return_inverse=True)[1].astype(float)
    order = random.sample(range(len(pairs)), len(pairs))
    assert image_metrics(labels[order], ranks[order]) == pytest.approx(
        image_metrics(labels, scores)
    )


@pytest.mark.parametrize(
    ("labels", "scores", "auroc", "ap", "f1_max"),
    [
        pytest.param([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], 1.0, 1.0, 1.0, id="separated"),
        pytest.param([1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4], 0.0, 5 / 12, 2 / 3, id="reversed"),
        pytest.param([0, 0, 0, 1], [1.0, 1.0, 1.0, 1.0], 0.5, 0.25, 0.4, id="all equal"),
        pytest.param([0, 1, 1], [1.0, 1.0, 2.0], 0.75, 5 / 6, 0.8, id="one tie"),
    ],
)
def test_metrics_of_cases_worked_out_by_hand(
    labels: list[int], scores: list[float], auroc: float, ap: float, f1_max: float
) -> None:
    expected = {"image_auroc": auroc, "image_ap": ap, "image_f1_max": f1_max}
    assert image_metrics(labels, scores) == pytest.approx(expected)


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param([0, 0, 0], id="good only"),
        pytest.param([1, 1, 1], id="anomalous only"),
    ],
)
def test_one_class_alone_is_undefined_and_not_zero(labels: list[int]) -> None:
    assert image_metrics(labels, [0.1, 0.2, 0.3]) == dict.fromkeys(IMAGE_METRICS)


def test_no_images_are_undefined() -> None:
    assert image_metrics([], []) == dict.fromkeys(IMAGE_METRICS)


def test_shuffled_labels_average_to_chance() -> None:
    rng = np.random.default_rng(7)
    labels = np.repeat([0, 1], 40)
    scores = labels + rng.normal(scale=0.2, size=80)
    assert image_metrics(labels, scores)["image_auroc"] > 0.99
    shuffled = [image_metrics(rng.permutation(labels), scores) for _ in range(100)]
    assert np.mean([m["image_auroc"] for m in shuffled]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([m["image_ap"] for m in shuffled]) == pytest.approx(0.5, abs=0.05)
    # calling all of them anomalous reaches 2 / 3, and chance hardly more
    assert np.mean([m["image_f1_max"] for m in shuffled]) == pytest.approx(2 / 3, abs=0.05)


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        pytest.param([0, 1, 1], [0.1, np.nan, np.inf], "2 of 3 image scores", id="not finite"),
        pytest.param([0, 2], [0.1, 0.2], r"unknown labels \[2\]", id="label 2"),
        pytest.param([0, 1], [0.1, 0.2, 0.3], r"\(2,\).*each of 3 scores", id="too few labels"),
        pytest.param([[0, 1]], [[0.1, 0.2]], r"\(1, 2\).*one score per image", id="two axes"),
    ],
)
def test_bad_input_is_named(labels: list[Any], scores: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        image_metrics(labels, scores)
