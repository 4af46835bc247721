"""What a flow is trained on: normalised features, and which cells are anomalous."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from clflow.data.images import Box
from clflow.detectors.flow.normalization import Normalization
from clflow.detectors.flow.settings import CellSettings, FlowSettings
from clflow.detectors.folds import draw_folds
from clflow.features.store import as_levels
from clflow.synthesis.training_data import SyntheticAnomalies

_BATCH = 64


@dataclass(frozen=True, eq=False)
class NegativeFeatures:
    """Normalised features of synthetic anomalies.

    Attributes:
        levels: per level float16 [M, C, H, W].
        cells: per level, which cells are anomalous, bool [M, H, W].
        boxes: per anomaly, its boxes in fractions of the side.
        of_good: per good image, the anomalies made from it.
    """

    levels: list[Tensor]
    cells: list[Tensor]
    boxes: tuple[tuple[tuple[float, ...], ...], ...]
    of_good: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class TrainingFeatures:
    """Normalised features of good images, per level float16 [N, C, H, W], and of anomalies."""

    good: list[Tensor]
    negatives: NegativeFeatures | None


def fused(features: Sequence[np.ndarray], rows: slice, settings: FlowSettings) -> list[Tensor]:
    """Return some images' maps as float32, as many levels as the detector has."""
    return as_levels(features, rows, settings.grid, settings.upsampling)


def gather(features: Sequence[np.ndarray], settings: FlowSettings) -> list[Tensor]:
    """Return all images' maps, fused if asked for, as float16 [N, C, H, W] in memory."""
    count = len(features[0])
    starts = range(0, count, _BATCH)
    batches = [fused(features, slice(start, start + _BATCH), settings) for start in starts]
    return [torch.cat([level.half() for level in levels]) for levels in zip(*batches, strict=True)]


def fit_normalizations(good: list[Tensor], settings: FlowSettings) -> list[Normalization]:
    """Return the normalisation of each level, fitted on all good images [N, C, H, W]."""
    return [_new(level, settings).fit(level) for level in good]


def _new(level: Tensor, settings: FlowSettings) -> Normalization:
    height, width = level.shape[2:]
    return Normalization(level.shape[1], (height, width), settings.normalization)


def normalize_for_training(
    good: list[Tensor],
    negatives: list[Tensor] | None,
    sources: Sequence[int],
    fitted: Sequence[Normalization],
    settings: FlowSettings,
    generator: torch.Generator,
) -> None:
    """Normalise in place, by the statistics of the other folds where cross-fitting is on.

    Args:
        good: per level [N, C, H, W].
        negatives: per level [M, C, H, W], or None.
        sources: the good image each anomaly was made from [M].
        fitted: normalisations fitted on all good images, used without folds.
        generator: draws the folds.
    """
    count = settings.normalization.folds
    folds = draw_folds(len(good[0]), count, generator) if count else None
    for index, level in enumerate(good):
        anomalies = [] if negatives is None else [negatives[index]]
        if folds is None:
            for part in (level, *anomalies):
                _apply(fitted[index], part, torch.arange(len(part)))
        else:
            parts = [(level, folds), *((part, folds[list(sources)]) for part in anomalies)]
            _cross_fit(level.clone(), folds, parts, settings)


def _cross_fit(
    source: Tensor, folds: Tensor, parts: Sequence[tuple[Tensor, Tensor]], settings: FlowSettings
) -> None:
    for fold in range(settings.normalization.folds):
        other = _new(source, settings).fit(source[folds != fold])
        for part, fold_of in parts:
            _apply(other, part, torch.nonzero(fold_of == fold).flatten())


def _apply(normalization: Normalization, level: Tensor, rows: Tensor) -> None:
    for batch in rows.split(_BATCH):
        level[batch] = normalization(level[batch].float()).half()


def anomalous_cells(coverage: Tensor, settings: CellSettings) -> Tensor:
    """Return which cells count as anomalous, bool [M, H, W].

    Args:
        coverage: fraction of each cell that is masked [M, H, W].
    """
    fullest = coverage.amax((1, 2), keepdim=True)
    return (coverage > settings.area) | ((coverage > 0) & (coverage >= settings.share * fullest))


def negative_features(
    levels: list[Tensor], anomalies: SyntheticAnomalies, count: int, settings: FlowSettings
) -> NegativeFeatures:
    """Return anomalies' features with cells and boxes; `count` is the number of good images."""
    masks = [torch.from_numpy(anomalies.masks(i)).float() for i in range(len(anomalies.images))]
    cells = [_cells(masks, level.shape[2:], settings.cells) for level in levels]
    boxes = tuple(
        tuple(_relative(box, mask.shape) for box in image_boxes)
        for image_boxes, mask in zip(anomalies.boxes, masks, strict=True)
    )
    of_good: list[list[int]] = [[] for _ in range(count)]
    for index, source in enumerate(anomalies.sources):
        of_good[source].append(index)
    return NegativeFeatures(levels, cells, boxes, tuple(map(tuple, of_good)))


def _cells(masks: list[Tensor], size: Sequence[int], settings: CellSettings) -> Tensor:
    coverage = [adaptive_avg_pool2d(mask[None], (size[0], size[1])) for mask in masks]
    return anomalous_cells(torch.cat(coverage), settings)


def _relative(box: Box, size: Sequence[int]) -> tuple[float, ...]:
    height, width = size
    return box[0] / width, box[1] / height, box[2] / width, box[3] / height
