"""A decision threshold from good images alone, and the decisions it leads to."""

import numpy as np
from numpy.typing import ArrayLike

from clflow.errors import DataError, SettingsError
from clflow.metrics.inputs import image_labels, image_scores


def threshold_from_good(scores: ArrayLike, quantile: float) -> float:
    """Return the smallest observed score that at least `quantile` of the good scores do not exceed.

    `scores` [N] are of held-out good images: neither trained on nor tested on. With fewer than
    1 / (1 - quantile) of them this is their maximum.

    Raises:
        DataError: no score, or one that is not finite.
        SettingsError: the quantile is outside (0, 1].
    """
    if not 0 < quantile <= 1:
        raise SettingsError(f"threshold quantile {quantile} must be in (0, 1], such as 0.99")
    ranked = np.sort(image_scores(scores))
    if not len(ranked):
        raise DataError("no held-out good image to set a threshold from; hold out at least one")
    # k / N, unlike quantile * N, rounds to the same float as the quantile it stands for:
    # `numpy.quantile(method="inverted_cdf")` takes the 8th of 25 scores at 0.28, not the 7th
    reached = np.arange(1, len(ranked) + 1) / len(ranked)
    return float(ranked[np.searchsorted(reached, quantile)])


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
