"""Metrics of one trained detector on one category."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clflow.data.images import resize_mask
from clflow.data.records import Manifest, Record, given_mask, record_mask, region_of
from clflow.data.region_of_interest import RegionOfInterest, own_map
from clflow.detectors.protocol import Scores
from clflow.metrics.curves import PixelCurves
from clflow.metrics.pimo import PIMO_BOUNDS, Aupimo, PimoScores
from clflow.metrics.pixel import PixelScores
from clflow.metrics.registry import METRICS
from clflow.metrics.scored import ScoredCategory
from clflow.pipeline.settings import EvaluateSettings

CURVE_POINTS = 200

Metrics = dict[str, float | None]
Mask = NDArray[np.bool_] | None


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Test images below `root` with their masks [H, W], None where there is none or it is empty.

    Attributes:
        region: which of their pixels count, None for all; masks mark no others.
    """

    root: Path
    records: tuple[Record, ...]
    masks: tuple[Mask, ...]
    region: RegionOfInterest | None = None

    @classmethod
    def read(cls, records: tuple[Record, ...], root: Path) -> "LabelledImages":
        """Read the masks, once for all models."""
        masks = tuple(record_mask(record, root) for record in records)
        return cls(root, records, masks, region_of(records, root))

    @property
    def without_mask(self) -> int:
        """How many anomalous images have no marked pixel."""
        pairs = zip(self.records, self.masks, strict=True)
        return sum(mask is None for record, mask in pairs if record.label)

    @property
    def wholly_ignored(self) -> int:
        """How many anomalous images have marked pixels, all of which are ignored."""
        if self.region is None:
            return 0
        pairs = zip(self.records, self.masks, strict=True)
        bare = [record for record, mask in pairs if record.label and mask is None]
        return sum(given_mask(record, self.root) is not None for record in bare)

    def lowered(self, record: Record, anomaly_map: np.ndarray) -> np.ndarray:
        """Return the map [S, S] of an image with its lowest value where pixels are ignored."""
        if self.region is None:
            return anomaly_map
        return self.region.lowered(anomaly_map, (record.height, record.width))

    def own(self, record: Record, anomaly_map: np.ndarray) -> np.ndarray:
        """Return the map of an image at the image's own size, lowered likewise."""
        return own_map(anomaly_map, (record.width, record.height), self.region)


@dataclass(frozen=True, eq=False)
class CategoryScores:
    """Scores of test images (with maps), held-out good images and anomalies made of the latter.

    Peaks are the highest pixel of each map, as `map_peaks` finds it.
    """

    test: Scores
    test_peaks: np.ndarray
    validation: np.ndarray
    validation_peaks: np.ndarray
    synthetic: np.ndarray

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        test: Scores,
        validation: Scores,
        synthetic: Scores,
        region: RegionOfInterest | None = None,
    ) -> "CategoryScores":
        """Return what is needed of the scores of a manifest's images: one set of maps is kept.

        `region` is which of their pixels count, None for all.
        """
        return cls(
            test,
            map_peaks(manifest.test, test.anomaly_maps, region),
            validation.image_scores,
            map_peaks(manifest.validation, validation.anomaly_maps, region),
            synthetic.image_scores,
        )


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
    images: LabelledImages, scores: CategoryScores, settings: EvaluateSettings
) -> Measurement:
    """Return everything that is measured on the test images.

    Thresholds come from held-out good images alone. `synthetic_image_auroc` separates these
    from synthetic anomalies made from them: the figure to select settings by. Where a score is NaN
    or infinite nothing is defined: to leave it out, clamp or fill it would hide a broken model.
    """
    count = len(images.records)
    failure = _not_finite(scores)
    if failure is not None:
        nothing = Aupimo(np.full(count, np.nan), failure)
        return Measurement(no_metrics(), nothing, None, {}, failure)
    pixels, aupimo, measured = _localised(images, scores.test.anomaly_maps, settings)
    scored = ScoredCategory(
        labels=np.array([record.label for record in images.records]),
        images=scores.test.image_scores,
        held_out=scores.validation,
        synthetic=scores.synthetic,
        peaks=scores.test_peaks,
        held_out_peaks=scores.validation_peaks,
        false_alarm_rate=settings.false_alarm_rate,
        pixels=pixels,
        aupimo=aupimo.mean,
    )
    # aligned once more: all maps at the masks' native size would be another copy in memory
    known = _known(images, scores.test.anomaly_maps, settings)
    moved = pixels.influences((own, mask) for _, own, mask in known)
    return Measurement(
        metrics={name: metric.value(scored) for name, metric in METRICS.items()},
        aupimo=replace(aupimo, per_image=_placed(aupimo.per_image, measured, count)),
        curves=pixels.curves(CURVE_POINTS),
        influences={name: _placed(own, measured, count) for name, own in moved.items()},
    )


def no_metrics() -> Metrics:
    """Return every metric as undefined, as it is without a model or finite scores."""
    return dict.fromkeys(METRICS)


def _not_finite(scores: CategoryScores) -> str | None:
    """Return what is NaN or infinite, counted in images; None where everything is finite."""
    groups = (
        ("scores", "test images", scores.test.image_scores),
        ("anomaly maps", "test images", scores.test.anomaly_maps),
        ("scores", "held-out good images", scores.validation),
        ("anomaly maps", "held-out good images", scores.validation_peaks),
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


def _localised(
    images: LabelledImages, maps: np.ndarray, settings: EvaluateSettings
) -> tuple[PixelScores, Aupimo, list[int]]:
    """Return what is known by pixel, and the places of the images that it is known of."""
    pixels, pimo, measured = PixelScores(), PimoScores(), []
    for index, scores, mask in _known(images, maps, settings):
        pixels.add(scores, mask)
        pimo.add(scores, mask)
        measured.append(index)
    return pixels, pimo.measure(), measured


def _placed(values: np.ndarray, places: Sequence[int], count: int) -> np.ndarray:
    """Return `count` values that are NaN except at some places."""
    every = np.full(count, np.nan)
    every[list(places)] = values
    return every


def _known(
    images: LabelledImages, maps: np.ndarray, settings: EvaluateSettings
) -> Iterator[tuple[int, np.ndarray, Mask]]:
    """Yield index, map and mask of the images of which it is known where the defects are."""
    triples = zip(images.records, maps, images.masks, strict=True)
    for index, (record, anomaly_map, own) in enumerate(triples):
        scores, mask = _aligned(images, record, anomaly_map, own, settings)
        # a tiny defect may vanish at the input size: its pixels are not good ones either
        if not record.label or (mask is not None and mask.any()):
            yield index, scores, mask


def _aligned(
    images: LabelledImages,
    record: Record,
    anomaly_map: np.ndarray,
    mask: Mask,
    settings: EvaluateSettings,
) -> tuple[np.ndarray, Mask]:
    """Return map and mask at the same size, by the rule of the settings."""
    if settings.masks == "native":
        return images.own(record, anomaly_map), mask
    resized = None if mask is None else resize_mask(mask, *anomaly_map.shape)
    return images.lowered(record, anomaly_map), resized


def map_peaks(
    records: Sequence[Record], maps: np.ndarray, region: RegionOfInterest | None = None
) -> np.ndarray:
    """Return the highest pixel of each map [N, H, W] at its image's own size, float32 [N].

    A detector shows regions at that size: an image has one if its peak is above the threshold. A
    map with a pixel that is not finite has none: NaN. Pixels that are ignored are no peak.
    """
    pairs = zip(records, maps, strict=True)
    return np.array([_peak(record, own, region) for record, own in pairs], np.float32)


def _peak(record: Record, anomaly_map: np.ndarray, region: RegionOfInterest | None) -> float:
    if not np.isfinite(anomaly_map).all():
        return np.nan
    return float(own_map(anomaly_map, (record.width, record.height), region).max())


def protocol(
    settings: EvaluateSettings, size: tuple[int, int], region: RegionOfInterest | None = None
) -> dict[str, str]:
    """Return the rules the metrics were made by, in words for the tables."""
    if settings.masks == "native":
        masks = "at the masks' native size; anomaly maps interpolated bilinearly"
    else:
        masks = f"at the input size {size[0]}x{size[1]}; masks resized by nearest neighbour"
    rate, (lower, upper) = settings.false_alarm_rate, PIMO_BOUNDS
    return {
        "checkpoint": "last training step, one model for all metrics",
        "scores": "raw, neither normalised nor clamped",
        "masks": f"{masks}; no crop; anomalous images without a marked pixel are left out",
        "aupro": "8-connected regions, all thresholds, interpolated at the limit",
        "aupimo": f"thresholds from good test images, all of them; recall per image, mean over "
        f"log FPR from {lower:g} to {upper:g}",
        "threshold": f"split conformal, by the ranks of held-out good images: at most {rate:g} of "
        "good images above it, or the least that so few can promise",
        "pixel_threshold": "the same of the highest pixel of each map at the image's own size: "
        "good images with any pixel above it",
        "oracle": "F1-max uses the test labels and is no achievable figure",
    } | ({} if region is None else {"ignored": _ignored_rule(region)})


def _ignored_rule(region: RegionOfInterest) -> str:
    parts = [
        f"{region.border} pixels from each edge" if region.border else "",
        "the pixels of the category's mask" if region.ignored is not None else "",
    ]
    return (
        f"{' and '.join(filter(None, parts))}: painted over in every image, not marked in any mask "
        "(a defect wholly there is left out of pixel metrics), and the lowest value of each map"
    )
