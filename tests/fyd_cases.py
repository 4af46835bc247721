"""Small settings, and parts in any pose, for tests of FYD."""

import math
from typing import Any

import cv2
import numpy as np
import torch

from clflow.data.images import ArrayImages
from clflow.detectors.gaussian.detector import FydDetector
from clflow.detectors.gaussian.settings import FydSettings
from clflow.detectors.registry import find_method, merged
from clflow.synthesis.training_data import TrainingData

SIZE = 64
SMALL: dict[str, Any] = {
    "image_size": SIZE,
    "image_alignment": {
        "registration": {"size": 64, "rounds": 2, "seeds": 4},
        "learned": {"size": 32, "epochs": 2, "batch_size": 4},
    },
    "fine_alignment": {"steps": 4, "batch_size": 4, "log_every": 1, "checkpoint_every": 2},
}
# every part on: two trainings, one after the other
WHOLE: dict[str, Any] = {
    "image_alignment": {"kind": "both", "decide": False},
    "feature_alignment": {"enabled": True},
    "fine_alignment": {"enabled": True},
}


def small_settings(method: str = "fyd", **changes: Any) -> FydSettings:
    """Return a method's settings, cut down to run in a moment."""
    small = merged(SMALL, {"density": {"grid": 8}} if method == "fyd" else {})
    return FydSettings.model_validate(find_method(method).complete(merged(small, changes)))


def small(method: str = "fyd", **changes: Any) -> FydDetector:
    """Return an unfitted detector with small settings."""
    return FydDetector(small_settings(method, **changes))


def part(
    angle: float,
    shift: tuple[float, float] = (0.0, 0.0),
    spot: bool = False,
    size: int = SIZE,
) -> np.ndarray:
    """Return a dark part without symmetry, turned by `angle` in radians, uint8 [size, size, 3].

    `shift` is in pixels, x first; a spot is a bright defect on the part, far from its centre.
    """
    scale = 8
    image = np.full((size * scale, size * scale), 200, np.uint8)
    outline = np.array([(-20, -4), (20, -2), (22, 8), (12, 8), (10, 3), (-20, 4)]) * size / 64
    _draw(image, outline, angle, shift, scale, 60)
    if spot:
        square = np.array([(-18, -3), (-12, -3), (-12, 3), (-18, 3)]) * size / 64
        _draw(image, square, angle, shift, scale, 250)
    shrunk = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    return np.repeat(shrunk[..., None], 3, 2)


def _draw(
    image: np.ndarray,
    outline: np.ndarray,
    angle: float,
    shift: tuple[float, float],
    scale: int,
    level: int,
) -> None:
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    centre = image.shape[0] / 2
    points = (outline @ turn.T + np.array(shift)) * scale + centre
    cv2.fillPoly(image, [points.round().astype(np.int32)], level)


def poses(count: int, seed: int) -> list[tuple[float, tuple[float, float]]]:
    """Return turns around the whole circle and small shifts."""
    rng = np.random.default_rng(seed)
    return [
        (float(rng.uniform(0, 2 * math.pi)), (float(rng.uniform(-3, 3)), float(rng.uniform(-3, 3))))
        for _ in range(count)
    ]


def noisy(images: list[np.ndarray], seed: int) -> list[np.ndarray]:
    """Return images with the noise of a camera."""
    rng = np.random.default_rng(seed)
    return [
        (image + rng.normal(0, 3, image.shape)).round().clip(0, 255).astype(np.uint8)
        for image in images
    ]


def parts(count: int = 24, seed: int = 0, spot: bool = False) -> list[np.ndarray]:
    """Return noisy parts in free rotation, uint8 [64, 64, 3]."""
    return noisy([part(angle, shift, spot) for angle, shift in poses(count, seed)], seed)


def parts_data(count: int = 24, seed: int = 0) -> TrainingData:
    """Return good parts in free rotation."""
    return TrainingData(ArrayImages(parts(count, seed)))


def as_pixels(images: list[np.ndarray]) -> torch.Tensor:
    """Return images as a detector holds them, uint8 [N, 3, H, W]."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
