import numpy as np
import pytest

from clflow.errors import SettingsError
from clflow.metrics.curves import DefectSteps, PixelCurves, defect_steps


def noisy_steps(defects: int) -> DefectSteps:
    """Return steps of 5000 good scores, some tied with defect scores one sigma higher."""
    rng = np.random.default_rng(2)
    good = np.sort(rng.normal(size=5000).round(3))
    weight = np.where(np.arange(defects) < defects // 2, 0.1, 1.0)
    steps = defect_steps(good, rng.normal(1, size=defects).round(3), weight)
    assert steps is not None
    return steps


def vertices(curves: PixelCurves) -> np.ndarray:
    return np.stack([curves.fpr, curves.tpr, curves.pro], axis=1)


@pytest.mark.parametrize("points", [2, 7, 64, 512])
def test_thinned_curves_keep_their_ends_and_stay_close(points: int) -> None:
    curves = noisy_steps(defects=900).curves()
    full, thin = vertices(curves), vertices(curves.thinned(points))
    assert len(thin) <= points < len(full)
    assert thin[0].tolist() == [0, 0, 0]
    assert thin[-1].tolist() == [1, 1, 1]
    assert {tuple(vertex) for vertex in thin} <= {tuple(vertex) for vertex in full}
    distance = np.abs(full[:, None] - thin).max(axis=2).min(axis=1)
    assert distance.max() <= 3 / (points - 1)


def test_short_curves_are_kept_whole() -> None:
    curves = noisy_steps(defects=20).curves()
    assert len(curves.fpr) == 42
    assert curves.thinned(42) is curves


def test_one_point_makes_no_curve() -> None:
    with pytest.raises(SettingsError, match="points = 1"):
        noisy_steps(defects=20).curves().thinned(1)


def test_curves_rise_and_hold_the_areas_of_the_metrics() -> None:
    steps = noisy_steps(defects=300)
    curves = steps.curves()
    assert np.all(np.diff(vertices(curves), axis=0) >= 0)
    assert np.trapezoid(curves.tpr, curves.fpr) == pytest.approx(steps.auroc())
    assert np.trapezoid(curves.pro, curves.fpr) == pytest.approx(curves.aupro(1.0))


def test_steps_of_a_case_counted_by_hand() -> None:
    good = np.array([0.0, 1.0, 1.0, 2.0, 4.0])
    steps = defect_steps(good, np.array([1.0, 3.0, 1.0]), np.array([0.5, 1.0, 0.5]))
    assert steps is not None
    assert steps.true_positives.tolist() == [1, 3]
    assert steps.overlap.tolist() == [0.5, 1.0]
    assert steps.good_above.tolist() == [1, 2]
    assert steps.good_from.tolist() == [1, 4]
    assert vertices(steps.curves()) == pytest.approx(
        np.array([[0, 0, 0], [1, 0, 0], [1, 1, 1.5], [2, 1, 1.5], [4, 3, 3], [5, 3, 3]]) / [5, 3, 3]
    )
