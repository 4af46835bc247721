import numpy as np
import pytest

from clflow.errors import DataError, SettingsError
from clflow.metrics.threshold import decisions_at


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
