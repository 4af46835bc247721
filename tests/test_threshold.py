import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clflow.errors import DataError, SettingsError
from clflow.metrics.threshold import decisions_at, threshold_from_good

FEW_VALUES = st.integers(min_value=-5, max_value=5).map(float)


@settings(max_examples=60, deadline=None)
@given(st.lists(FEW_VALUES, min_size=1, max_size=40), st.integers(min_value=1, max_value=100))
def test_threshold_is_the_smallest_score_that_covers_the_quantile(
    scores: list[float], percent: int
) -> None:
    # Whole numbers only: this reference cannot round.
    covering = [s for s in scores if 100 * sum(t <= s for t in scores) >= percent * len(scores)]
    assert threshold_from_good(scores, percent / 100) == min(covering)


@pytest.mark.parametrize(
    ("count", "quantile", "rank"),
    [
        pytest.param(100, 0.99, 99, id="99 of 100"),
        pytest.param(100, 0.55, 55, id="55 of 100, where 0.55 * 100 rounds up"),
        pytest.param(99, 0.99, 99, id="fewer than 1/(1-q) give the maximum"),
        pytest.param(20, 0.95, 19, id="19 of 20"),
        pytest.param(7, 1.0, 7, id="quantile 1 is the maximum"),
        pytest.param(1, 0.5, 1, id="a single image"),
    ],
)
def test_threshold_has_the_rank_counted_by_hand(count: int, quantile: float, rank: int) -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1.0, count + 1))
    assert threshold_from_good(scores, quantile) == rank


@settings(max_examples=30, deadline=None)
@given(st.lists(FEW_VALUES, min_size=1, max_size=40), st.sampled_from([0.5, 0.8, 0.95, 0.99]))
def test_at_most_the_rest_of_the_good_images_is_flagged(
    scores: list[float], quantile: float
) -> None:
    threshold = threshold_from_good(scores, quantile)
    false_alarms = decisions_at(np.zeros(len(scores)), scores, threshold)["image_fpr"]
    assert false_alarms <= 1 - quantile + 1e-12


@pytest.mark.parametrize(
    "quantile",
    [pytest.param(0.0, id="zero"), pytest.param(1.5, id="above 1"), pytest.param(np.nan, id="NaN")],
)
def test_quantile_outside_its_range_is_named(quantile: float) -> None:
    with pytest.raises(SettingsError, match=str(quantile)):
        threshold_from_good([1.0, 2.0], quantile)


def test_threshold_needs_finite_scores_of_at_least_one_image() -> None:
    with pytest.raises(DataError, match="no held-out good image"):
        threshold_from_good([], 0.99)
    with pytest.raises(DataError, match="1 of 2 image scores"):
        threshold_from_good([1.0, np.nan], 0.99)


@pytest.mark.parametrize(
    ("labels", "scores", "precision", "recall", "f1", "fpr"),
    [
        pytest.param([0, 0, 1, 1], [0, 2, 2, 3], 2 / 3, 1.0, 0.8, 0.5, id="one false alarm"),
        pytest.param([0, 0, 1, 1], [0, 0, 1, 2], 1.0, 0.5, 2 / 3, 0.0, id="equal is not above"),
        pytest.param([0, 1], [0, 0], None, 0.0, 0.0, 0.0, id="nothing flagged"),
        pytest.param([0, 1], [2, 0], 0.0, 0.0, 0.0, 1.0, id="only false alarms"),
        pytest.param([0, 0], [0, 2], 0.0, None, None, 0.5, id="no anomalous image"),
        pytest.param([1, 1], [0, 2], 1.0, 0.5, 2 / 3, None, id="no good image"),
        pytest.param([], [], None, None, None, None, id="no image"),
    ],
)
def test_decisions_of_cases_counted_by_hand(
    labels: list[int],
    scores: list[float],
    precision: float | None,
    recall: float | None,
    f1: float | None,
    fpr: float | None,
) -> None:
    assert decisions_at(labels, scores, threshold=1.0) == {
        "image_precision": None if precision is None else pytest.approx(precision),
        "image_recall": None if recall is None else pytest.approx(recall),
        "image_f1": None if f1 is None else pytest.approx(f1),
        "image_fpr": None if fpr is None else pytest.approx(fpr),
    }


def test_decisions_reject_a_threshold_or_labels_that_decide_nothing() -> None:
    with pytest.raises(SettingsError, match="threshold nan is not finite"):
        decisions_at([0, 1], [0.1, 0.2], np.nan)
    with pytest.raises(DataError, match="unknown labels"):
        decisions_at([0, 255], [0.1, 0.2], 0.15)
