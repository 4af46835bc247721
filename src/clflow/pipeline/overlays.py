"""Pictures to look at: image, mask and anomaly map side by side."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from clflow.data.images import read_image, resize_image, resize_mask, write_png
from clflow.data.records import Record
from clflow.detectors.protocol import Scores
from clflow.pipeline.measure import LabelledImages, Mask
from clflow.pipeline.settings import EvaluateSettings

_BAR = 22
_WHITE = (255, 255, 255)


def write_overlays(
    images: LabelledImages,
    scores: Scores,
    threshold: float,
    folder: Path,
    settings: EvaluateSettings,
) -> None:
    """Write pictures of the worst misses, the worst false alarms and a fixed, even sample.

    All maps of a category have one colour scale: pictures compare.
    """
    folder.mkdir(parents=True, exist_ok=True)
    low, high = _colour_range(scores.anomaly_maps)
    for name, index in _chosen(images.records, scores.image_scores, settings):
        record = images.records[index]
        score = scores.image_scores[index]
        verdict = "flagged" if score > threshold else "passed"
        title = f"{record.defect}  score {score:.3f} (threshold {threshold:.3f}, {verdict})"
        scaled = ((scores.anomaly_maps[index] - low) / max(high - low, 1e-12)).clip(0, 1)
        image = read_image(images.root / record.path)
        picture = _picture(image, images.masks[index], scaled, title)
        write_png(folder / f"{name}-{record.defect}-{Path(record.path).stem}.png", picture)


def _colour_range(maps: np.ndarray) -> tuple[float, float]:
    """Return the darkest value, the lowest, and the brightest, twice what half the images reach.

    One extreme defect would leave all others dark if its value were the brightest.
    """
    low, peaks = float(maps.min()), maps.max(axis=(1, 2))
    return low, min(low + 2 * (float(np.median(peaks)) - low), float(peaks.max()))


def _chosen(
    records: tuple[Record, ...], scores: np.ndarray, settings: EvaluateSettings
) -> Iterator[tuple[str, int]]:
    order = np.argsort(scores, kind="stable")
    labels = np.array([record.label for record in records])
    misses = [index for index in order if labels[index]][: settings.worst]
    alarms = [index for index in order[::-1] if not labels[index]][: settings.worst]
    count = min(settings.sample, len(records))
    sample = np.linspace(0, len(records) - 1, count).round().astype(int)
    for kind, chosen in (("low-defect", misses), ("high-good", alarms), ("sample", sample)):
        for rank, index in enumerate(chosen):
            yield f"{kind}-{rank}", int(index)


def _picture(image: np.ndarray, mask: Mask, scaled: np.ndarray, title: str) -> np.ndarray:
    height, width = scaled.shape
    image = resize_image(image, height, width)
    heat = cv2.cvtColor(
        cv2.applyColorMap((255 * scaled).astype(np.uint8), cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB
    )
    panels = np.concatenate([image, _outlined(image, mask), heat], axis=1)
    bar = np.zeros((_BAR, panels.shape[1], 3), np.uint8)
    cv2.putText(bar, title, (6, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, _WHITE, 1, cv2.LINE_AA)
    return np.concatenate([bar, panels], axis=0)


def _outlined(image: np.ndarray, mask: Mask) -> np.ndarray:
    outlined = image.copy()
    if mask is not None:
        small = resize_mask(mask, *image.shape[:2]).astype(np.uint8)
        contours, _ = cv2.findContours(small, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(outlined, contours, -1, (255, 0, 0), 1, cv2.LINE_AA)
    return outlined
