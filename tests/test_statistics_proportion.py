import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from clflow.errors import DataError, SettingsError
from clflow.statistics.proportion import proportion_interval

TOTALS = st.integers(min_value=1, max_value=60)


@given(TOTALS.flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_interval_is_scipys_exact_one(counted: tuple[int, int]) -> None:
    expected = binomtest(*counted).proportion_ci(0.95, method="exact")
    found = proportion_interval(*counted)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


# scipy's binomial overflows for shares of 1e-308
@given(TOTALS, st.integers(0, 1000).map(lambda part: part / 1000), st.sampled_from([0.8, 0.95]))
def test_the_true_share_is_covered_as_often_as_said(
    total: int, share: float, confidence: float
) -> None:
    covered = 0.0
    for hits in range(total + 1):
        found = proportion_interval(hits, total, confidence)
        covered += float(binom.pmf(hits, total, share)) * (found.low <= share <= found.high)
    assert covered >= confidence - 1e-9


def test_a_mean_count_lies_between_its_neighbours() -> None:
    below, between, above = (proportion_interval(hits, 20) for hits in (1, 1.5, 2))
    assert below.low < between.low < above.low
    assert below.high < between.high < above.high


def test_what_is_no_count_is_refused() -> None:
    for hits, total in ((0, 0), (3, 2), (-1, 5)):
        with pytest.raises(DataError, match=f"{hits} of {total} images"):
            proportion_interval(hits, total)
    with pytest.raises(SettingsError, match="confidence 95"):
        proportion_interval(1, 2, 95)
