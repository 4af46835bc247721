"""Image-level detection metrics."""

import numpy as np
from numpy.typing import ArrayLike

from clflow.metrics.curves import defect_steps
from clflow.metrics.inputs import image_labels, image_scores

IMAGE_METRICS = ("image_auroc", "image_ap", "image_f1_max")


def image_metrics(labels: ArrayLike, scores: ArrayLike) -> dict[str, float | None]:
    """Return AUROC, average precision and oracle F1-max of image scores.

    `labels` [N] are 0 for good and 1 for anomalous, `scores` [N] are higher for anomalous. F1-max
    is the best F1 over all thresholds, chosen with the labels. With one class only, all are None.

    Raises:
        DataError: a score is not finite, a label is not 0 or 1, or the shapes differ.
    """
    # a second to import, and every command reads the registry of metrics
    from sklearn.metrics import average_precision_score, roc_auc_score

    values = image_scores(scores)
    anomalous = image_labels(labels, len(values))
    weight = np.ones(np.count_nonzero(anomalous))
    steps = defect_steps(np.sort(values[~anomalous]), values[anomalous], weight)
    if steps is None:
        return dict.fromkeys(IMAGE_METRICS)
    return {
        "image_auroc": float(roc_auc_score(anomalous, values)),
        "image_ap": float(average_precision_score(anomalous, values)),
        "image_f1_max": steps.f1_max(),
    }
