"""Metrics of one trained detector on one category."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from clflow.data.images import read_mask, resize_mask
from clflow.data.records import Record
from clflow.detectors.protocol import Scores
from clflow.evaluation.settings import EvaluateSettings
from clflow.metrics.image import image_metrics
from clflow.metrics.pixel import PixelScores
from clflow.metrics.threshold import decisions_at, threshold_from_good

Metrics = dict[str, float | None]


@dataclass(frozen=True, eq=False)
class CategoryScores:
    """Scores of test images (with maps), held-out good images and anomalies made of the latter."""

    test: Scores
    validation: np.ndarray
    synthetic: np.ndarray


def measure(
    records: tuple[Record, ...], scores: CategoryScores, root: Path, settings: EvaluateSettings
) -> Metrics:
    """Return all metrics by name; undefined ones are None.

    The threshold comes from held-out good images alone. `synthetic_image_auroc` separates these
    from synthetic anomalies made from them: the figure to select settings by.
    """
    labels = np.array([record.label for record in records])
    threshold = threshold_from_good(scores.validation, settings.threshold_quantile)
    return {
        **image_metrics(labels, scores.test.image_scores),
        **_pixel_metrics(records, scores.test.anomaly_maps, root, settings),
        "threshold": threshold,
        **decisions_at(labels, scores.test.image_scores, threshold),
        "synthetic_image_auroc": _synthetic(scores)["image_auroc"],
    }


def _synthetic(scores: CategoryScores) -> Mapping[str, float | None]:
    labels = np.repeat([0, 1], [len(scores.validation), len(scores.synthetic)])
    return image_metrics(labels, np.concatenate([scores.validation, scores.synthetic]))


def _pixel_metrics(
    records: tuple[Record, ...], maps: np.ndarray, root: Path, settings: EvaluateSettings
) -> Metrics:
    pixels = PixelScores()
    for record, anomaly_map in zip(records, maps, strict=True):
        mask = record_mask(record, root)
        scores, aligned = _aligned(record, anomaly_map, mask, settings)
        # a tiny defect may vanish at the input size: its pixels are not good ones either
        if record.label and (aligned is None or not aligned.any()):
            continue
        pixels.add(scores, aligned)
    return pixels.metrics()


def _aligned(
    record: Record, anomaly_map: np.ndarray, mask: np.ndarray | None, settings: EvaluateSettings
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return map and mask at the same size, by the rule of the settings."""
    if settings.masks == "native":
        size = (record.width, record.height)
        return cv2.resize(anomaly_map, size, interpolation=cv2.INTER_LINEAR), mask
    return anomaly_map, None if mask is None else resize_mask(mask, *anomaly_map.shape)


def record_mask(record: Record, root: Path) -> np.ndarray | None:
    """Return an anomalous image's mask at its own size, bool [H, W]; None where nothing is marked.

    An empty mask of an anomalous image tells as little of where its defect is as none.
    """
    if record.mask is None:
        return None
    mask = read_mask(root / record.mask, (record.height, record.width))
    return mask if mask.any() else None


def protocol(settings: EvaluateSettings, size: tuple[int, int]) -> dict[str, str]:
    """Return the rules the metrics were made by, in words for the tables."""
    if settings.masks == "native":
        masks = "at the masks' native size; anomaly maps interpolated bilinearly"
    else:
        masks = f"at the input size {size[0]}x{size[1]}; masks resized by nearest neighbour"
    quantile = settings.threshold_quantile
    return {
        "checkpoint": "last training step, one model for all metrics",
        "scores": "raw, neither normalised nor clamped",
        "masks": f"{masks}; no crop; anomalous images without a marked pixel are left out",
        "aupro": "8-connected regions, all thresholds, interpolated at the limit",
        "threshold": f"{quantile:g} quantile of the scores of held-out good images",
        "oracle": "F1-max uses the test labels and is no achievable figure",
    }
