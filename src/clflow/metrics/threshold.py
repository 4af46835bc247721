"""The decisions that a threshold leads to."""

import numpy as np
from numpy.typing import ArrayLike

from clflow.errors import SettingsError
from clflow.metrics.inputs import image_labels, image_scores


def decisions_at(labels: ArrayLike, scores: ArrayLike, threshold: float) -> dict[str, float | None]:
    """Return precision, recall, F1 and false-positive rate of "anomalous if score > threshold".

    `labels` [N] are 0 for good and 1 for anomalous. A ratio of nothing is None: precision when
    nothing is flagged, recall and F1 without anomalous images, the rate without good ones.

    Raises:
        DataError: a score is not finite, a label is not 0 or 1, or the shapes differ.
        SettingsError: the threshold is not finite.
    """
    if not np.isfinite(threshold):
        raise SettingsError(f"threshold {threshold} is not finite; set it from good images")
    values = image_scores(scores)
    anomalous = image_labels(labels, len(values))
    flagged = values > threshold
    defects, alarms = int(anomalous.sum()), int(flagged.sum())
    hits = int((flagged & anomalous).sum())
    return {
        "image_precision": _ratio(hits, alarms),
        "image_recall": _ratio(hits, defects),
        "image_f1": _ratio(2 * hits, alarms + defects) if defects else None,
        "image_fpr": _ratio(alarms - hits, len(values) - defects),
    }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
