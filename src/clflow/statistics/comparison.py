"""Tests over categories and for many comparisons at once, after Demsar, JMLR 7 (2006), 1-30.

A category is one observation: the mean of a metric over seeds. Values that differ by rounding are
equal; `-inf` stands for a run without a value, which is worse than any other.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import friedmanchisquare, rankdata, studentized_range

Values = NDArray[np.float64]

_DECIMALS = 12


@dataclass(frozen=True)
class SignedRank:
    """Sums of the ranks of pairs in which the first is `higher` or `lower`, and how many differ.

    Wilcoxon's statistic is the smaller sum, `p` is two-sided.
    """

    higher: float
    lower: float
    p: float
    pairs: int


@dataclass(frozen=True)
class Friedman:
    """Friedman's chi-square statistic and p-value: do all methods rank alike?"""

    statistic: float
    p: float


@dataclass(frozen=True, eq=False)
class Nemenyi:
    """Mean ranks [methods], 1 the best; their critical difference; p-values [methods, methods]."""

    mean_ranks: Values
    critical_difference: float
    p: Values


def holm(p_values: ArrayLike) -> Values:
    """Return p-values [N] adjusted by Holm (Scandinavian Journal of Statistics 6, 1979).

    NaN, a test that could not be made, stays NaN and counts as no test.
    """
    values = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(values.shape, np.nan)
    made = np.flatnonzero(~np.isnan(values))
    order = made[np.argsort(values[made], kind="stable")]
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def smallest_p(pairs: int, family: int = 1) -> float:
    """Return the smallest p-value that a signed-rank test can have, adjusted for `family` tests.

    All of `pairs` differ in one direction in 2 of 2 ** pairs equally likely ways.
    """
    return min(1.0, family * 2.0 ** (1 - pairs))


def pairs_needed(significance: float, family: int = 1) -> int:
    """Return how many categories a signed-rank test needs to reach `significance` at all."""
    return next(n for n in range(1, 1100) if smallest_p(n, family) < significance)


def signed_rank(first: ArrayLike, second: ArrayLike) -> SignedRank:
    """Return Wilcoxon's signed-rank test of two methods' values, one per category [N].

    Categories without a difference are left out; the p-value is exact, with ties too.
    """
    differences = _differences(first, second)
    found = differences[differences != 0]
    # Doubled, the midranks of ties are whole numbers.
    ranks = (2 * rankdata(np.abs(found))).astype(int)
    higher, lower = int(ranks[found > 0].sum()), int(ranks[found < 0].sum())
    p = min(1.0, 2 * float(_rank_sums(ranks)[: min(higher, lower) + 1].sum()))
    return SignedRank(higher / 2, lower / 2, p, len(found))


def mean_ranks(values: ArrayLike) -> Values:
    """Return the mean rank of each method, `values` [categories, methods]; 1 is the largest."""
    return np.asarray(_ranks(values).mean(axis=0))


def friedman(values: ArrayLike) -> Friedman:
    """Return Friedman's test of `values` [categories, methods], three methods or more.

    The p-value is the chi-square approximation: rough with few categories.
    """
    ranks = _ranks(values)
    if (ranks == ranks.mean()).all():
        return Friedman(0.0, 1.0)
    result = friedmanchisquare(*ranks.T)
    return Friedman(float(result.statistic), float(result.pvalue))


def nemenyi(values: ArrayLike, significance: float) -> Nemenyi:
    """Return Nemenyi's comparison of all methods, `values` [categories, methods].

    Two methods differ where their mean ranks differ by the critical difference or more,
    q sqrt(k (k + 1) / (6 N)); q is the studentized range over sqrt 2. The p-values are already
    adjusted for all pairs.
    """
    table = np.asarray(values, dtype=np.float64)
    categories, methods = table.shape
    ranks = mean_ranks(table)
    scale = math.sqrt(methods * (methods + 1) / (6 * categories))
    apart = np.abs(ranks[:, None] - ranks)
    p = studentized_range.sf(apart / scale * math.sqrt(2), methods, np.inf)
    return Nemenyi(ranks, nemenyi_quantile(methods, significance) * scale, np.asarray(p))


def nemenyi_quantile(methods: int, significance: float) -> float:
    """Return the critical value q of Nemenyi's test (Demsar 2006, table 5a)."""
    return float(studentized_range.isf(significance, methods, np.inf)) / math.sqrt(2)


def _ranks(values: ArrayLike) -> Values:
    table = np.asarray(values, dtype=np.float64).round(_DECIMALS)
    return np.asarray(rankdata(-table, axis=1))


def _differences(first: ArrayLike, second: ArrayLike) -> Values:
    own, other = (np.asarray(v, dtype=np.float64) for v in (first, second))
    # Two failed runs are equal; their difference would be NaN.
    both = np.isneginf(own) & np.isneginf(other)
    return np.subtract(own, other, out=np.zeros_like(own), where=~both).round(_DECIMALS)


def _rank_sums(ranks: NDArray[np.int_]) -> Values:
    """Return the probability of each sum of ranks if every sign is a fair coin's."""
    chances = np.zeros(int(ranks.sum()) + 1)
    chances[0] = 1
    for rank in ranks:
        # No sum reaches past the end before the last rank, so nothing wraps around.
        chances = (chances + np.roll(chances, rank)) / 2
    return chances
