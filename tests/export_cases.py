"""Small fitted detectors to export, and images to score with them."""

from typing import Any

import numpy as np
import torch
from flow_cases import grain as grain
from flow_cases import seeded, small_settings, spotted, training_data
from fyd_cases import noisy, part, poses
from fyd_cases import small as small_gaussian

from clflow.data.images import ArrayImages
from clflow.detectors.flow.detector import FlowDetector
from clflow.detectors.gaussian.detector import FydDetector
from clflow.synthesis.training_data import TrainingData

REGISTERED: dict[str, Any] = {
    "kind": "registration",
    "decide": False,
    "registration": {"size": 64, "rounds": 1, "seeds": 4},
}
UNREGISTERED = {"kind": "none"}


def parts(count: int, seed: int) -> list[np.ndarray]:
    """Return parts in any pose, uint8 [64, 64, 3]."""
    return noisy([part(*pose) for pose in poses(count, seed=seed)], seed)


def scored_images(registered: bool) -> list[np.ndarray]:
    """Return good images and spotted ones."""
    good = parts(4, 7) if registered else grain(4, 7)
    return good + spotted(good)[0]


def flow_detector(method: str = "clflow", registered: bool = False, **changes: Any) -> FlowDetector:
    """Return a flow detector fitted for a moment, its flows moved away from where they begin."""
    alignment = REGISTERED if registered else UNREGISTERED
    settings = small_settings(method, alignment=alignment, **changes)
    detector = FlowDetector(settings, method=method, device="cpu")
    data = training_data()
    if registered:
        good = parts(10, 0)
        anomalies = data.anomalies
        assert anomalies is not None
        made = TrainingData(ArrayImages(good), anomalies)
        data = TrainingData(made.good, _replaced(anomalies, good))
    detector.fit(data, seeded())
    _shake(detector)
    return detector


def gaussian_detector(method: str, registered: bool = False) -> FydDetector:
    """Return a fitted Gaussian detector."""
    alignment = REGISTERED if registered else UNREGISTERED
    good = parts(10, 0) if registered else grain(10, 0)
    return small_gaussian(method, image_alignment=alignment).fit(
        TrainingData(ArrayImages(good), None), seeded()
    )


def _replaced(anomalies: Any, good: list[np.ndarray]) -> Any:
    from dataclasses import replace

    return replace(anomalies, images=ArrayImages(spotted(good)[0]))


@torch.no_grad()
def _shake(detector: FlowDetector) -> None:
    """Move parameters: a flow that begins as the identity would hide a mistake in its graph."""
    generator = seeded(3)
    for parameter in detector.densities_.parameters():
        parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    # the fast form of a flow is made anew after a change of mode
    detector.densities_.train().eval()
