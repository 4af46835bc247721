"""ROC curves are scikit-learn's, and mean curves lose nothing between points."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from clflow.report.curves import RateCurve, mean_curve, roc_curve

levels = st.lists(st.integers(-3, 3), min_size=1, max_size=12)


def labelled(good: list[int], anomalous: list[int]) -> tuple[np.ndarray, np.ndarray]:
    labels = np.repeat([False, True], [len(good), len(anomalous)])
    return labels, np.array([*good, *anomalous], dtype=np.float64)


def corners(curve: RateCurve, good: int, anomalous: int) -> list[tuple[int, int]]:
    """Return the counts at which the curve turns, in whole images."""
    counts = zip(np.rint(curve.fpr * good), np.rint(curve.hit * anomalous), strict=True)
    kept: list[tuple[int, int]] = []
    for point in dict.fromkeys((int(x), int(y)) for x, y in counts):
        while len(kept) > 1 and straight(*kept[-2:], point):
            kept.pop()
        kept.append(point)
    return kept


def straight(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> bool:
    return (b[0] - a[0]) * (c[1] - b[1]) == (c[0] - b[0]) * (b[1] - a[1])


@given(levels, levels)
def test_roc_curve_is_that_of_scikit_learn(good: list[int], anomalous: list[int]) -> None:
    labels, scores = labelled(good, anomalous)
    curve = roc_curve(labels, scores)
    fpr, tpr, _ = sklearn_roc_curve(labels, scores, drop_intermediate=False)
    sizes = (len(good), len(anomalous))
    assert corners(curve, *sizes) == corners(RateCurve(fpr, tpr), *sizes)
    assert curve.area == pytest.approx(roc_auc_score(labels, scores))


@given(st.lists(st.tuples(levels, levels), min_size=1, max_size=4))
def test_area_of_the_mean_is_the_mean_of_the_areas(
    pairs: list[tuple[list[int], list[int]]],
) -> None:
    curves = [roc_curve(*labelled(good, anomalous)) for good, anomalous in pairs]
    mean = mean_curve(curves)
    assert (np.diff(mean.fpr) >= 0).all()
    assert (np.diff(mean.hit) >= -1e-12).all()
    assert (mean.fpr[0], mean.fpr[-1], mean.hit[-1]) == (0, 1, pytest.approx(1))
    assert mean.area == pytest.approx(np.mean([curve.area for curve in curves]))


def test_mean_of_a_case_counted_by_hand() -> None:
    """A curve upright at 0.5 and the diagonal: level, a step of a half, level slope."""
    upright = RateCurve(np.array([0, 0.5, 0.5, 1]), np.array([0, 0, 1, 1.0]))
    mean = mean_curve([upright, RateCurve(np.array([0.0, 1]), np.array([0.0, 1]))])
    assert mean.fpr.tolist() == [0, 0, 0.5, 0.5, 1, 1]
    assert mean.hit.tolist() == [0, 0, 0.25, 0.75, 1, 1]
