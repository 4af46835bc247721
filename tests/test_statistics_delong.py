"""DeLong's variance and test beside slow sums, values made by hand, and simulated truth."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import kstest
from sklearn.metrics import roc_auc_score

from clflow.errors import DataError
from clflow.statistics.bootstrap import draw_resamples, resampled_auroc
from clflow.statistics.delong import Placements, paired_test, placements

Scores = NDArray[np.float64]


def slow_placements(labels: NDArray[np.int_], scores: Scores) -> tuple[Scores, Scores]:
    """Return placements from all pairs of images, one after another: O(m n)."""
    bad, good = scores[labels == 1], scores[labels == 0]
    wins = [[(b > g) + 0.5 * (b == g) for g in good] for b in bad]
    return np.mean(wins, axis=1), np.mean(wins, axis=0)


def slow_p(labels: NDArray[np.int_], first: Scores, second: Scores) -> float:
    """Return the two-sided p-value from the covariance matrices of DeLong's paper."""
    parts = [slow_placements(labels, scores) for scores in (first, second)]
    covariance = sum(
        np.cov([part[side] for part in parts]) / len(parts[0][side]) for side in (0, 1)
    )
    contrast = np.array([1, -1])
    difference = parts[0][0].mean() - parts[1][0].mean()
    return math.erfc(abs(difference) / math.sqrt(2 * contrast @ covariance @ contrast))


def simulate(
    rng: np.random.Generator, good: int, bad: int, shifts: tuple[float, float], models: int = 1
) -> tuple[NDArray[np.int_], list[Scores]]:
    """Return labels and correlated scores [models, N] of two methods, anomalous ones shifted."""
    labels = np.repeat([0, 1], [good, bad])
    shared = rng.normal(size=good + bad)
    scores = [shared + rng.normal(size=(models, good + bad)) + shift * labels for shift in shifts]
    return labels, scores


tables = st.integers(2, 8).flatmap(
    lambda m: st.integers(2, 8).flatmap(
        lambda n: st.tuples(
            st.just(np.repeat([0, 1], [n, m])),
            # few levels make many ties
            st.lists(
                st.lists(st.integers(0, 4), min_size=m + n, max_size=m + n), min_size=4, max_size=4
            ).map(lambda rows: np.array(rows, dtype=float)),
        )
    )
)


@settings(max_examples=100, deadline=None)
@given(tables)
def test_placements_are_those_of_all_pairs(table: tuple[NDArray[np.int_], Scores]) -> None:
    labels, scores = table
    found = placements(labels, scores)
    expected = [
        np.mean(side, axis=0)
        for side in zip(*(slow_placements(labels, s) for s in scores), strict=True)
    ]
    np.testing.assert_allclose(found.anomalous, expected[0])
    np.testing.assert_allclose(found.good, expected[1])
    aurocs = [roc_auc_score(labels, s) for s in scores]
    assert found.auroc == pytest.approx(np.mean(aurocs))
    assert found.good.mean() == pytest.approx(found.auroc)


def test_variance_and_test_by_hand() -> None:
    """Good 1, 2 and anomalous 2, 3: placements 3/4, 1 and 1, 3/4, each of variance 1/32."""
    labels = [0, 0, 1, 1]
    first = placements(labels, [1, 2, 2, 3])
    assert first.anomalous.tolist() == [0.75, 1.0]
    assert first.good.tolist() == [1.0, 0.75]
    assert (first.auroc, first.variance) == (0.875, pytest.approx(1 / 32))
    # Good 1, 3 and anomalous 2, 4: placements 1/2, 1 and 1, 1/2. Differences 1/4, 0 and 0, 1/4:
    # variance 2 * (1/32) / 2 = 1/32, z = (1/8) / sqrt(1/32) = 1 / sqrt 2, of which p = erfc(1/2) =
    # 0.48; two images of a class cannot say more than p = 1/2.
    test = paired_test(first, placements(labels, [1, 3, 2, 4]))
    assert test.difference == 0.125
    assert test.statistic == pytest.approx(1 / math.sqrt(2))
    assert test.p == 0.5
    # The same images three times over: the placements are the same, their variance is that of six.
    many = [placements(3 * labels, 3 * scores) for scores in ([1, 2, 2, 3], [1, 3, 2, 4])]
    z = 0.125 / math.sqrt(2 * (6 / 64) / 5 / 6)
    assert paired_test(*many).statistic == pytest.approx(z)
    assert paired_test(*many).p == pytest.approx(math.erfc(z / math.sqrt(2)))


@pytest.mark.parametrize("ties", [False, True])
def test_p_value_is_that_of_the_covariance_matrices(ties: bool) -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        labels, scores = simulate(rng, 17, 23, (1.0, 0.5))
        first, second = (np.round(s[0], 0) if ties else s[0] for s in scores)
        found = paired_test(placements(labels, first), placements(labels, second))
        assert found.p == pytest.approx(slow_p(labels, first, second))


def test_variance_of_several_models_is_that_of_their_mean() -> None:
    """The bootstrap resamples the same mean AUROC without any theory."""
    labels, (scores, _) = simulate(np.random.default_rng(1), 60, 90, (0.8, 0.0), models=3)
    draws = draw_resamples(labels, 20_000, np.random.default_rng(2))
    spread = resampled_auroc(labels, scores, draws).std()
    found = placements(labels, scores)
    assert math.sqrt(found.variance) == pytest.approx(spread, rel=0.04)
    single = [math.sqrt(placements(labels, s).variance) for s in scores]
    assert math.sqrt(found.variance) < min(single)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(np.exp, id="exponential"),
        pytest.param(lambda s: 3 * s - 7, id="scale and offset"),
        pytest.param(lambda s: np.sign(s) * np.abs(s) ** 3, id="cube"),
    ],
)
def test_an_increasing_transform_changes_nothing(change: Callable[[Scores], Scores]) -> None:
    labels, (first, second) = simulate(np.random.default_rng(5), 20, 30, (1.0, 0.5), models=2)
    before = paired_test(placements(labels, first), placements(labels, second))
    after = paired_test(placements(labels, change(first)), placements(labels, second))
    assert after == before


def test_the_order_of_methods_and_images_does_not_matter() -> None:
    rng = np.random.default_rng(6)
    labels, (first, second) = simulate(rng, 20, 30, (1.0, 0.5), models=2)
    there = paired_test(placements(labels, first), placements(labels, second))
    back = paired_test(placements(labels, second), placements(labels, first))
    assert (back.difference, back.statistic) == (-there.difference, -there.statistic)
    assert back.p == there.p
    order = rng.permutation(50)
    shuffled = paired_test(
        placements(labels[order], first[:, order]), placements(labels[order], second[:, order])
    )
    assert shuffled.p == pytest.approx(there.p)


def p_values(shuffle: bool, count: int = 800) -> Scores:
    """Return p-values where the second method is better, unless labels are shuffled."""
    rng = np.random.default_rng(7)
    found = []
    for _ in range(count):
        labels, (first, second) = simulate(rng, 40, 60, (0.2, 1.5), models=2)
        labels = rng.permutation(labels) if shuffle else labels
        found.append(paired_test(placements(labels, first), placements(labels, second)).p)
    return np.array(found)


def test_p_values_are_uniform_when_labels_are_shuffled() -> None:
    p = p_values(shuffle=True)
    assert 0.03 < np.mean(p < 0.05) < 0.08
    assert kstest(p, "uniform").statistic < 0.06


def test_a_true_difference_is_found() -> None:
    assert np.mean(p_values(shuffle=False, count=100) < 0.01) > 0.95


def test_equal_methods_have_p_one() -> None:
    labels, (scores, _) = simulate(np.random.default_rng(8), 9, 9, (1.0, 1.0))
    own = placements(labels, scores)
    assert paired_test(own, placements(labels, scores + 5)).p == 1.0
    perfect = placements(labels, labels)
    assert paired_test(perfect, placements(labels, 2.0 * labels)) == paired_test(perfect, perfect)
    assert perfect.variance == 0


@pytest.mark.parametrize(("good", "bad"), [(2, 2), (5, 8), (24, 40)])
def test_a_difference_without_variance_is_a_sign_test(good: int, bad: int) -> None:
    """Perfect against constant scores: every placement differs by one half."""
    labels = np.repeat([0, 1], [good, bad])
    test = paired_test(placements(labels, labels), placements(labels, np.zeros(good + bad)))
    assert (test.difference, test.statistic) == (0.5, math.inf)
    assert test.p == 2.0 ** (1 - min(good, bad))


def test_a_handful_of_images_cannot_be_very_significant() -> None:
    """Perfect scores beside poor ones: the normal approximation alone would say p = 0.002."""
    labels = [0] * 4 + [1] * 5
    poor = placements(labels, [0, 1, 2, 3, -1, 0.5, 1.5, 2.5, 0.2])
    test = paired_test(placements(labels, labels), poor)
    assert math.erfc(test.statistic / math.sqrt(2)) < 0.003
    assert test.p == 1 / 8


def test_one_image_of_a_class_has_no_variance() -> None:
    own = placements([0, 1, 1], [1.0, 2.0, 0.0])
    assert math.isnan(own.variance)
    assert math.isnan(paired_test(own, own).p)
    assert isinstance(own, Placements)


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        pytest.param([1, 1], [0.1, 0.2], "one class", id="only anomalous"),
        pytest.param([0, 0], [0.1, 0.2], "one class", id="only good"),
        pytest.param([0, 1], [0.1, math.nan], "NaN", id="not finite"),
        pytest.param([0, 1], [[0.1], [0.2]], "labels have shape", id="other images"),
        pytest.param([0, 2], [0.1, 0.2], "unknown labels", id="other labels"),
        pytest.param([0, 1], [], "shape", id="no score"),
    ],
)
def test_what_has_no_auroc_is_refused(labels: list[int], scores: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        placements(labels, scores)
