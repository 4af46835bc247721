"""The stratified bootstrap beside explicit resamples and simulated truth."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from clflow.errors import DataError
from clflow.statistics import bootstrap
from clflow.statistics.bootstrap import draw_resamples, percentile_interval, resampled_auroc

LABELS = np.array([0, 1, 1, 0, 0, 1, 1, 1, 0])


def test_resamples_keep_the_number_of_good_and_anomalous_images() -> None:
    draws = draw_resamples(LABELS, 300, np.random.default_rng(0))
    assert draws.anomalous.shape == (300, 5)
    assert draws.good.shape == (300, 4)
    assert set(draws.anomalous.sum(axis=1)) == {5}
    assert set(draws.good.sum(axis=1)) == {4}
    # each image is drawn once on average
    np.testing.assert_allclose(draws.good.mean(axis=0), 1, atol=0.2)


@pytest.mark.parametrize("block", [1, 7, 1 << 22])
def test_values_are_those_of_the_repeated_images(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(bootstrap, "_BLOCK", block)
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 5, (3, len(LABELS))).astype(float)
    draws = draw_resamples(LABELS, 25, rng)
    found = resampled_auroc(LABELS, scores, draws)
    for value, good, anomalous in zip(found, draws.good, draws.anomalous, strict=True):
        counts = np.zeros(len(LABELS), dtype=int)
        counts[LABELS == 0], counts[LABELS == 1] = good, anomalous
        images = np.repeat(np.arange(len(LABELS)), counts)
        expected = [roc_auc_score(LABELS[images], own[images]) for own in scores]
        assert value == pytest.approx(np.mean(expected))


def test_an_increasing_transform_changes_nothing() -> None:
    rng = np.random.default_rng(2)
    scores, draws = rng.normal(size=(2, len(LABELS))), draw_resamples(LABELS, 50, rng)
    before = resampled_auroc(LABELS, scores, draws)
    assert resampled_auroc(LABELS, np.exp(5 * scores), draws).tolist() == before.tolist()


def test_the_same_generator_gives_the_same_resamples() -> None:
    first, second = (draw_resamples(LABELS, 9, np.random.default_rng(3)) for _ in range(2))
    assert first.good.tolist() == second.good.tolist()
    assert first.anomalous.tolist() == second.anomalous.tolist()


@pytest.mark.parametrize(
    ("scores", "bounds"),
    [
        pytest.param(LABELS, (1.0, 1.0), id="perfect"),
        pytest.param(-LABELS, (0.0, 0.0), id="upside down"),
        pytest.param(np.zeros(9), (0.5, 0.5), id="constant"),
    ],
)
def test_scores_without_doubt_have_intervals_without_width(
    scores: np.ndarray, bounds: tuple[float, float]
) -> None:
    draws = draw_resamples(LABELS, 100, np.random.default_rng(4))
    interval = percentile_interval(resampled_auroc(LABELS, scores, draws), 0.95)
    assert (interval.low, interval.high) == bounds


def test_percentiles_leave_out_equal_shares() -> None:
    interval = percentile_interval(np.arange(101.0), 0.9)
    assert (interval.low, interval.high) == (pytest.approx(5), pytest.approx(95))


def covered(shuffle: bool) -> float:
    """Return the share of simulated test sets whose interval holds the true mean AUROC.

    Two models share the image and add noise of their own: AUROC = Phi(shift / sqrt(2 * 1.25)).
    """
    rng, shift, hits, rounds = np.random.default_rng(5), 1.2, 0, 300
    truth = norm.cdf(shift / np.sqrt(2.5))
    labels = np.repeat([0, 1], [40, 60])
    for _ in range(rounds):
        scores = rng.normal(size=100) + 0.5 * rng.normal(size=(2, 100)) + shift * labels
        own = rng.permutation(labels) if shuffle else labels
        values = resampled_auroc(own, scores, draw_resamples(own, 400, rng))
        interval = percentile_interval(values, 0.95)
        hits += interval.low <= truth <= interval.high
    return hits / rounds


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    assert 0.91 <= covered(shuffle=False) <= 0.98


def test_intervals_of_shuffled_labels_do_not() -> None:
    assert covered(shuffle=True) < 0.05


def test_one_class_is_refused() -> None:
    labels = np.ones(4, dtype=int)
    draws = draw_resamples(labels, 3, np.random.default_rng(6))
    assert draws.good.shape == (3, 0)
    with pytest.raises(DataError, match="one class"):
        resampled_auroc(labels, np.arange(4.0), draws)
