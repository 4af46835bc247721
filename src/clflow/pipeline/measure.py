"""Metrics of one trained detector on one category."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from clflow.data.images import resize_mask
from clflow.data.records import Record, record_mask
from clflow.detectors.protocol import Scores
from clflow.metrics.curves import PixelCurves
from clflow.metrics.image import IMAGE_METRICS, image_metrics
from clflow.metrics.pimo import PIMO_BOUNDS, Aupimo, PimoScores
from clflow.metrics.pixel import PixelScores
from clflow.metrics.threshold import decisions_at, threshold_from_good
from clflow.pipeline.settings import EvaluateSettings

CURVE_POINTS = 200

Metrics = dict[str, float | None]


@dataclass(frozen=True, eq=False)
class CategoryScores:
    """Scores of test images (with maps), held-out good images and anomalies made of the latter."""

    test: Scores
    validation: np.ndarray
    synthetic: np.ndarray


@dataclass(frozen=True, eq=False)
class Measurement:
    """Metrics by name, None where undefined, what each test image adds, and curves to draw.

    `aupimo.per_image` [N] is NaN for good images and anomalous ones without a marked pixel, the
    influences by metric [N] for the latter. The curves have at most `CURVE_POINTS` points, and are
    None where not defined. `failure` says why there is no metric at all, None where there are some.
    """

    metrics: Metrics
    aupimo: Aupimo
    curves: PixelCurves | None
    influences: Mapping[str, np.ndarray]
    failure: str | None = None


def measure(
    records: tuple[Record, ...], scores: CategoryScores, root: Path, settings: EvaluateSettings
) -> Measurement:
    """Return everything that is measured on the test images.

    The threshold comes from held-out good images alone. `synthetic_image_auroc` separates these
    from synthetic anomalies made from them: the figure to select settings by. Where a score is NaN
    or infinite nothing is defined: to leave it out, clamp or fill it would hide a broken model.
    """
    failure = _not_finite(scores)
    if failure is not None:
        nothing = Aupimo(np.full(len(records), np.nan), failure)
        return Measurement(no_metrics(), nothing, None, {}, failure)
    labels = np.array([record.label for record in records])
    threshold = threshold_from_good(scores.validation, settings.threshold_quantile)
    found = _localisation(records, scores.test.anomaly_maps, root, settings)
    metrics = {
        **image_metrics(labels, scores.test.image_scores),
        **found.metrics,
        "aupimo": found.aupimo.mean,
        "threshold": threshold,
        **decisions_at(labels, scores.test.image_scores, threshold),
        "synthetic_image_auroc": _synthetic(scores)["image_auroc"],
    }
    return replace(found, metrics=metrics)


def no_metrics() -> Metrics:
    """Return every metric as undefined, as it is without a model or finite scores."""
    decisions = decisions_at((), (), 0.0)
    names = (*IMAGE_METRICS, *PixelScores().metrics(), "aupimo", "threshold", *decisions)
    return dict.fromkeys((*names, "synthetic_image_auroc"))


def _not_finite(scores: CategoryScores) -> str | None:
    """Return what is NaN or infinite, counted in images; None where everything is finite."""
    groups = (
        ("scores", "test images", scores.test.image_scores),
        ("anomaly maps", "test images", scores.test.anomaly_maps),
        ("scores", "held-out good images", scores.validation),
        ("scores", "held-out synthetic anomalies", scores.synthetic),
    )
    found = [
        f"{kind} of {bad} of {len(values)} {images}"
        for kind, images, values in groups
        if (bad := _count_not_finite(values))
    ]
    return f"{' and '.join(found)} are not finite" if found else None


def _count_not_finite(values: np.ndarray) -> int:
    finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    return len(values) - int(np.count_nonzero(finite))


def _synthetic(scores: CategoryScores) -> Mapping[str, float | None]:
    labels = np.repeat([0, 1], [len(scores.validation), len(scores.synthetic)])
    return image_metrics(labels, np.concatenate([scores.validation, scores.synthetic]))


def _localisation(
    records: tuple[Record, ...], maps: np.ndarray, root: Path, settings: EvaluateSettings
) -> Measurement:
    masks = [record_mask(record, root) for record in records]
    pixels, pimo, measured = PixelScores(), PimoScores(), []
    for index, scores, mask in _known(records, maps, masks, settings):
        pixels.add(scores, mask)
        pimo.add(scores, mask)
        measured.append(index)
    aupimo = pimo.measure()
    aupimo = replace(aupimo, per_image=_placed(aupimo.per_image, measured, len(records)))
    # aligned once more: all maps at the masks' native size would be another copy in memory
    known = _known(records, maps, masks, settings)
    moved = pixels.influences((scores, mask) for _, scores, mask in known)
    influences = {name: _placed(own, measured, len(records)) for name, own in moved.items()}
    return Measurement(pixels.metrics(), aupimo, pixels.curves(CURVE_POINTS), influences)


def _placed(values: np.ndarray, places: Sequence[int], count: int) -> np.ndarray:
    """Return `count` values that are NaN except at some places."""
    every = np.full(count, np.nan)
    every[list(places)] = values
    return every


def _known(
    records: tuple[Record, ...],
    maps: np.ndarray,
    masks: Sequence[np.ndarray | None],
    settings: EvaluateSettings,
) -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
    """Yield index, map and mask of the images of which it is known where the defects are."""
    for index, (record, anomaly_map, own) in enumerate(zip(records, maps, masks, strict=True)):
        scores, mask = _aligned(record, anomaly_map, own, settings)
        # a tiny defect may vanish at the input size: its pixels are not good ones either
        if not record.label or (mask is not None and mask.any()):
            yield index, scores, mask


def _aligned(
    record: Record, anomaly_map: np.ndarray, mask: np.ndarray | None, settings: EvaluateSettings
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return map and mask at the same size, by the rule of the settings."""
    if settings.masks == "native":
        size = (record.width, record.height)
        return cv2.resize(anomaly_map, size, interpolation=cv2.INTER_LINEAR), mask
    return anomaly_map, None if mask is None else resize_mask(mask, *anomaly_map.shape)


def protocol(settings: EvaluateSettings, size: tuple[int, int]) -> dict[str, str]:
    """Return the rules the metrics were made by, in words for the tables."""
    if settings.masks == "native":
        masks = "at the masks' native size; anomaly maps interpolated bilinearly"
    else:
        masks = f"at the input size {size[0]}x{size[1]}; masks resized by nearest neighbour"
    quantile, (lower, upper) = settings.threshold_quantile, PIMO_BOUNDS
    return {
        "checkpoint": "last training step, one model for all metrics",
        "scores": "raw, neither normalised nor clamped",
        "masks": f"{masks}; no crop; anomalous images without a marked pixel are left out",
        "aupro": "8-connected regions, all thresholds, interpolated at the limit",
        "aupimo": f"thresholds from good test images, all of them; recall per image, mean over "
        f"log FPR from {lower:g} to {upper:g}",
        "threshold": f"{quantile:g} quantile of the scores of held-out good images",
        "oracle": "F1-max uses the test labels and is no achievable figure",
    }
