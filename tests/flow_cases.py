"""Small settings and data for tests of the flow detector."""

from typing import Any

import numpy as np
import torch

from clflow.data.images import ArrayImages
from clflow.detectors.flow.settings import FlowSettings
from clflow.detectors.registry import find_method, merged
from clflow.synthesis.training_data import SyntheticAnomalies, TrainingData

SMALL: dict[str, Any] = {
    "image_size": 64,
    "flow": {"steps": 2},
    "training": {"steps": 6, "batch_size": 4, "log_every": 2, "checkpoint_every": 2},
}


def small_settings(method: str, **changes: Any) -> FlowSettings:
    """Return a method's settings, cut down to run in a moment."""
    found = find_method(method)
    small = merged(SMALL, {"grid": 8, "normalization": {"folds": 2}} if method == "clflow" else {})
    return FlowSettings.model_validate(found.complete(merged(small, changes)))


def grain(count: int, seed: int) -> list[np.ndarray]:
    """Return images of grey grain, uint8 [64, 64, 3]."""
    rng = np.random.default_rng(seed)
    return [rng.normal(128, 12, (64, 64, 3)).clip(0, 255).astype(np.uint8) for _ in range(count)]


def spotted(images: list[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """Return copies with a bright square, and its mask [64, 64]."""
    mask = np.zeros((64, 64), bool)
    mask[20:40, 24:44] = True
    return [np.where(mask[..., None], 250, image).astype(np.uint8) for image in images], mask


def training_data(count: int = 10, with_negatives: bool = True) -> TrainingData:
    """Return grain images, each with one spotted twin."""
    good = grain(count, 0)
    anomalies, mask = spotted(good)
    negatives = SyntheticAnomalies(
        images=ArrayImages(anomalies),
        masks=lambda _: mask,
        boxes=(((24, 20, 44, 40),),) * count,
        sources=tuple(range(count)),
    )
    return TrainingData(ArrayImages(good), negatives if with_negatives else None)


def seeded(seed: int = 0) -> torch.Generator:
    """Return a seeded generator."""
    return torch.Generator().manual_seed(seed)
