"""What a threshold promises, by counting every order that exchangeable scores can have."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clflow.errors import DataError, SettingsError
from clflow.metrics.conformal import chance_of, false_alarm_rates, images_needed, promise

FEW_VALUES = st.integers(min_value=-5, max_value=5).map(float)
RATES = st.sampled_from([0.01, 0.05, 0.1, 0.2, 1 / 3, 0.5, 0.9])


@settings(max_examples=80, deadline=None)
@given(st.lists(FEW_VALUES, min_size=2, max_size=40), RATES)
def test_a_rate_is_kept_whichever_of_the_images_is_the_new_one(
    scores: list[float], rate: float
) -> None:
    """Each of n + 1 exchangeable scores is the new one equally often: that is all orders."""
    alarms = 0
    for place, new in enumerate(scores):
        found = promise(scores[:place] + scores[place + 1 :], rate)
        alarms += new > found.threshold
    assert alarms <= round(found.rate * len(scores))
    assert not found.kept or alarms <= rate * len(scores) + 1e-9


@settings(max_examples=60, deadline=None)
@given(st.integers(min_value=2, max_value=60), RATES)
def test_distinct_scores_meet_the_promised_rate_exactly(count: int, rate: float) -> None:
    scores = np.random.default_rng(count).permutation(np.arange(float(count)))
    found = [promise(np.delete(scores, place), rate) for place in range(count)]
    alarms = sum(new > own.threshold for new, own in zip(scores, found, strict=True))
    assert alarms / count == pytest.approx(found[0].rate)


@settings(max_examples=60, deadline=None)
@given(st.lists(FEW_VALUES, min_size=1, max_size=30), st.lists(FEW_VALUES, max_size=10), RATES)
def test_score_and_rate_decide_alike(good: list[float], new: list[float], rate: float) -> None:
    found = promise(good, rate)
    by_rate = false_alarm_rates(new, good) <= found.rate + 1e-12
    assert by_rate.tolist() == [score > found.threshold for score in new]


@settings(max_examples=60, deadline=None)
@given(st.lists(FEW_VALUES, min_size=1, max_size=30), RATES)
def test_no_lower_threshold_promises_as_little(good: list[float], rate: float) -> None:
    found = promise(good, rate)
    # the threshold lies just above one of the scores
    passed = max(score for score in good if score <= found.threshold)
    lower = [score for score in good if score < passed]
    if lower and found.kept:
        above = sum(score > max(lower) for score in good)
        assert (1 + above) / (len(good) + 1) > rate


@given(RATES)
def test_images_needed_are_enough_and_no_fewer_are(rate: float) -> None:
    needed = images_needed(rate)
    assert promise(np.arange(needed), rate).kept
    assert needed == 1 or not promise(np.arange(needed - 1), rate).kept


@pytest.mark.parametrize(("held_out", "tested", "rate"), [(4, 3, 0.2), (5, 4, 0.34), (2, 5, 0.5)])
def test_chance_of_alarms_is_that_of_all_orders(held_out: int, tested: int, rate: float) -> None:
    ranks = np.arange(held_out + tested)
    counts = []
    for drawn in combinations(ranks, held_out):
        found = promise(np.array(drawn, float), rate)
        counts.append(sum(rank > found.threshold for rank in ranks if rank not in drawn))
    for alarms in range(tested + 1):
        expected = np.mean([count >= alarms for count in counts])
        assert chance_of(alarms, tested, found) == pytest.approx(expected)


def test_what_promises_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="no held-out good image"):
        promise([], 0.05)
    with pytest.raises(DataError, match="1 of 2 image scores"):
        false_alarm_rates([0.0], [1.0, np.nan])
    with pytest.raises(DataError, match="3 of 2 good images"):
        chance_of(3, 2, promise([1.0], 0.5))


@pytest.mark.parametrize("rate", [0, 1, -0.1, np.nan, True, "5 %"])
def test_a_rate_that_is_none_is_named(rate: object) -> None:
    with pytest.raises(SettingsError, match="false-alarm rate"):
        promise([1.0], rate)  # type: ignore[arg-type]
