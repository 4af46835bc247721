"""What every detector is: fit on good images and synthetic anomalies, then score images."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from clflow.data.source import ImageSource
from clflow.synthesis.categories import Decision
from clflow.synthesis.settings import SynthesizeSettings

Box = tuple[int, int, int, int]
Observer = Callable[[int], None]


@dataclass(frozen=True)
class Negatives:
    """Synthetic anomalies: image i was made from good image `owners[i]`.

    Attributes:
        masks: reads the mask of anomaly i, bool [H, W].
        boxes: half-open boxes (x0, y0, x1, y1) of the mask's components, in pixels.
    """

    images: ImageSource
    masks: Callable[[int], np.ndarray]
    boxes: tuple[tuple[Box, ...], ...]
    owners: tuple[int, ...]


@dataclass(frozen=True)
class Category:
    """What the synthesize stage knew of a category: its names, its decision, the settings."""

    dataset: str
    name: str
    decision: Decision
    synthesize: SynthesizeSettings


@dataclass(frozen=True)
class TrainingData:
    """Good images of one category and anomalies made from them; nothing of the test set.

    Attributes:
        category: what is known of it, for detectors that make anomalies themselves.
    """

    good: ImageSource
    negatives: Negatives | None = None
    category: Category | None = None


@dataclass(frozen=True)
class Workspace:
    """Where a detector may keep what can be made again: a run's checkpoint, images' features.

    `observer` is called after each training step, of a method that has such, with the number of
    steps done. It may score the detector; it must not change it.
    """

    checkpoint: Path | None = None
    features: Path | None = None
    observer: Observer | None = None


@dataclass(frozen=True)
class Scores:
    """Raw scores: the higher, the more anomalous.

    Attributes:
        image_scores: float32 [N].
        anomaly_maps: float32 [N, H, W] at the detector's input size.
    """

    image_scores: np.ndarray
    anomaly_maps: np.ndarray


class Detector(Protocol):
    """An anomaly detector for one category; the modules it holds beside `backbone` are its own."""

    history_: list[dict[str, float]]

    def __init__(self, settings: Any) -> None: ...

    @property
    def backbone(self) -> nn.Module:
        """The network whose features it reads: uint8 images [N, 3, H, W] to maps.

        Frozen, or the encoder of a network that is trained as a whole.
        """

    def fit(
        self, data: TrainingData, generator: torch.Generator, workspace: Workspace = ...
    ) -> Self:
        """Learn from the training data; all randomness comes from `generator`."""

    def score(self, images: ImageSource, workspace: Workspace = ...) -> Scores:
        """Return raw image scores [N] and anomaly maps [N, H, W]."""

    def save(self, folder: Path) -> None:
        """Write the fitted state: safetensors and JSON, no pickle."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a fitted detector."""


class Alignment(Protocol):
    """What brings images into one pose."""

    def proposed(self, pixels: Tensor) -> Tensor:
        """Return the maps theta [N, 2, 3] of uint8 images [N, 3, S, S]."""

    def warped(self, pixels: Tensor, theta: Tensor) -> Tensor:
        """Return uint8 images [N, 3, S, S] seen through theta [N, 2, 3]."""


@runtime_checkable
class AligningDetector(Protocol):
    """A detector that can bring images into one pose first, which can then be looked at."""

    @property
    def alignment_(self) -> Alignment | None:
        """What was fitted, None where nothing was."""
