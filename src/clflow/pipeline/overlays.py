"""Pictures to look at: image, mask and anomaly map side by side."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from clflow.canvas import edged, heat, title_bar
from clflow.data.images import resize_image, write_png
from clflow.data.records import Record, record_image
from clflow.detectors.protocol import Scores
from clflow.files import short_name
from clflow.pipeline.measure import LabelledImages, Mask
from clflow.pipeline.settings import EvaluateSettings


def write_overlays(
    images: LabelledImages,
    scores: Scores,
    threshold: float,
    folder: Path,
    settings: EvaluateSettings,
) -> None:
    """Write pictures of the worst misses, the worst false alarms and a fixed, even sample.

    All maps of a category have one colour scale: pictures compare. What is ignored is painted over,
    and the lowest value of each map.
    """
    folder.mkdir(parents=True, exist_ok=True)
    maps = _lowered(images, scores.anomaly_maps)
    low, high = _colour_range(maps)
    for name, index in _chosen(images.records, scores.image_scores, settings):
        record = images.records[index]
        score = scores.image_scores[index]
        verdict = "flagged" if score > threshold else "passed"
        title = f"{record.defect}  score {score:.3f} (threshold {threshold:.3f}, {verdict})"
        scaled = ((maps[index] - low) / max(high - low, 1e-12)).clip(0, 1)
        image = record_image(record, images.root)
        picture = _picture(image, images.masks[index], scaled, title)
        file = short_name(f"{name}-{record.defect}-{Path(record.path).stem}", ".png")
        write_png(folder / file, picture)


def _lowered(images: LabelledImages, maps: np.ndarray) -> np.ndarray:
    if images.region is None:
        return maps
    pairs = zip(images.records, maps, strict=True)
    return np.stack([images.lowered(record, own) for record, own in pairs])


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
    small = resize_image(image, *scaled.shape)
    coloured = heat((255 * scaled).astype(np.uint8))
    panels = np.concatenate([small, edged(small, mask), coloured], axis=1)
    return np.concatenate([title_bar(title, panels.shape[1]), panels], axis=0)
