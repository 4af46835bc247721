"""Holm, Wilcoxon, Friedman and Nemenyi beside hand cases, published tables and scipy."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import friedmanchisquare, wilcoxon

from clflow.statistics.comparison import (
    friedman,
    holm,
    mean_ranks,
    nemenyi,
    nemenyi_quantile,
    pairs_needed,
    signed_rank,
    smallest_p,
)

# Demsar, JMLR 7 (2006), table 5a: critical values of the two-tailed Nemenyi test, 2 to 10 methods.
DEMSAR = {
    0.05: [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164],
    0.10: [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920],
}


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        pytest.param([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02], id="four"),
        pytest.param([0.01, 0.011, 0.02], [0.03, 0.03, 0.03], id="never falls"),
        pytest.param([0.6, 0.9], [1.0, 1.0], id="at most one"),
        pytest.param([0.02], [0.02], id="one"),
        pytest.param([], [], id="none"),
        pytest.param([0.02, math.nan, 0.03], [0.04, math.nan, 0.04], id="one was not made"),
    ],
)
def test_holm_by_hand(p: list[float], expected: list[float]) -> None:
    assert holm(p).tolist() == pytest.approx(expected, nan_ok=True)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_follows_its_tests_and_is_between_none_and_bonferroni(p: list[float]) -> None:
    adjusted = holm(p)
    order = np.random.default_rng(0).permutation(len(p))
    assert holm(np.array(p)[order]).tolist() == adjusted[order].tolist()
    assert (adjusted >= np.array(p)).all()
    assert (adjusted <= np.minimum(1, len(p) * np.array(p)) + 1e-15).all()


@pytest.mark.parametrize("count", [4, 7, 15, 40])
def test_signed_rank_is_scipys_exact_test(count: int) -> None:
    rng = np.random.default_rng(count)
    first, second = rng.normal(0.4, 1, count), rng.normal(0, 1, count)
    expected = wilcoxon(first, second, method="exact")
    found = signed_rank(first, second)
    assert min(found.higher, found.lower) == expected.statistic
    assert found.p == pytest.approx(expected.pvalue)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9))
def test_signed_rank_tries_all_signs_where_there_are_ties(differences: list[int]) -> None:
    found = signed_rank(differences, np.zeros(len(differences)))
    kept = np.array([d for d in differences if d])
    if not len(kept):
        assert (found.p, found.pairs) == (1.0, 0)
        return
    ranks = np.array(
        [np.sum(np.abs(kept) < abs(d)) + (np.sum(np.abs(kept) == abs(d)) + 1) / 2 for d in kept]
    )
    sums = [
        ranks[np.array(signs)].sum() for signs in itertools.product([False, True], repeat=len(kept))
    ]
    own = min(ranks[kept > 0].sum(), ranks[kept < 0].sum())
    assert found.p == pytest.approx(min(1, 2 * np.mean(np.array(sums) <= own)))
    assert found.pairs == len(kept)
    assert found.higher == ranks[kept > 0].sum()


def test_signed_rank_does_not_rank_rounding_errors() -> None:
    found = signed_rank([0.3, 0.1 + 0.2, 0.9], [0.1 + 0.2, 0.3, 0.9])
    assert (found.p, found.pairs) == (1.0, 0)


def test_a_failed_run_is_the_largest_difference() -> None:
    found = signed_rank([0.9, 0.9, 0.8, -np.inf], [-np.inf, 0.8, 0.6, -np.inf])
    assert (found.higher, found.lower, found.pairs) == (6.0, 0.0, 3)


def test_signed_rank_is_symmetric() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(9), rng.random(9)
    there, back = signed_rank(first, second), signed_rank(second, first)
    assert (there.p, there.higher, there.lower) == (back.p, back.lower, back.higher)


def test_five_categories_cannot_show_a_difference() -> None:
    assert smallest_p(5) == 0.0625
    assert signed_rank(np.arange(1, 6), np.zeros(5)).p == smallest_p(5)
    assert pairs_needed(0.05) == 6
    assert pairs_needed(0.05, family=3) == 7
    assert smallest_p(0) == 1


def test_signed_ranks_of_methods_that_do_not_differ_are_rarely_significant() -> None:
    rng = np.random.default_rng(1)
    p = np.array([signed_rank(rng.random(15), rng.random(15)).p for _ in range(600)])
    assert 0.025 < np.mean(p < 0.05) < 0.08
    assert abs(p.mean() - 0.5) < 0.05


@pytest.mark.parametrize("significance", sorted(DEMSAR))
def test_nemenyis_critical_values_are_demsars(significance: float) -> None:
    found = [nemenyi_quantile(methods, significance) for methods in range(2, 11)]
    assert found == pytest.approx(DEMSAR[significance], abs=1.1e-3)


def test_ranks_and_critical_difference_by_hand() -> None:
    """Six categories, three methods: CD = 2.3437 sqrt(3 * 4 / (6 * 6)) = 1.353."""
    values = np.array([[0.9, 0.8, 0.7], [0.9, 0.9, 0.7], [0.6, 0.8, 0.7]] * 2)
    assert mean_ranks(values) == pytest.approx([(1 + 1.5 + 3) / 3, (2 + 1.5 + 1) / 3, 8 / 3])
    assert nemenyi(values, 0.05).critical_difference == pytest.approx(1.3532, abs=1e-4)


def test_demsars_example() -> None:
    """The paper's AUC of four C4.5 trees on 14 data sets, its mean ranks, chi-square and CDs.

    The paper's 9.28 has no correction for ties: three rows have a tie of two, one of four.
    """
    values = np.array(
        [
            [0.763, 0.768, 0.771, 0.798],
            [0.599, 0.591, 0.590, 0.569],
            [0.954, 0.971, 0.968, 0.967],
            [0.628, 0.661, 0.654, 0.657],
            [0.882, 0.888, 0.886, 0.898],
            [0.936, 0.931, 0.916, 0.931],
            [0.661, 0.668, 0.609, 0.685],
            [0.583, 0.583, 0.563, 0.625],
            [0.775, 0.838, 0.866, 0.875],
            [1.000, 1.000, 1.000, 1.000],
            [0.940, 0.962, 0.965, 0.962],
            [0.619, 0.666, 0.614, 0.669],
            [0.972, 0.981, 0.9751, 0.975],
            [0.957, 0.978, 0.946, 0.970],
        ]
    )
    assert mean_ranks(values) == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=1e-3)
    ties = 1 - (3 * (2**3 - 2) + 4**3 - 4) / (14 * (4**3 - 4))
    assert friedman(values).statistic * ties == pytest.approx(9.28, abs=0.01)
    assert nemenyi(values, 0.05).critical_difference == pytest.approx(1.25, abs=0.005)
    assert nemenyi(values, 0.10).critical_difference == pytest.approx(1.12, abs=0.005)


def test_friedman_is_scipys() -> None:
    values = np.random.default_rng(2).random((12, 4))
    expected = friedmanchisquare(*values.T)
    found = friedman(values)
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))


def test_methods_that_always_tie_do_not_differ() -> None:
    values = np.full((6, 3), 0.9)
    assert friedman(values).p == 1.0
    assert nemenyi(values, 0.05).p.tolist() == np.ones((3, 3)).tolist()


def test_nemenyi_is_symmetric_and_its_p_value_is_the_level_at_the_critical_difference() -> None:
    values = np.random.default_rng(3).random((10, 4))
    found, order = nemenyi(values, 0.05), [2, 0, 3, 1]
    again = nemenyi(values[:, order], 0.05)
    assert again.mean_ranks.tolist() == found.mean_ranks[order].tolist()
    assert again.p == pytest.approx(found.p[np.ix_(order, order)])
    # two methods of which one always wins differ by one rank
    for categories in (3, 4, 5):
        two = nemenyi(np.tile([1.0, 0.0], (categories, 1)), 0.05)
        assert (two.p[0, 1] < 0.05) == (two.critical_difference < 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000))
def test_an_increasing_transform_of_a_category_changes_no_rank(seed: int) -> None:
    values = np.random.default_rng(seed).random((6, 3))
    changed = values.copy()
    changed[2] = np.exp(4 * changed[2])
    assert mean_ranks(changed).tolist() == mean_ranks(values).tolist()
    assert friedman(changed) == friedman(values)


def test_a_failed_run_ranks_last() -> None:
    assert mean_ranks([[0.1, -np.inf, 0.2]]).tolist() == [2.0, 3.0, 1.0]
