"""What every detector is: fit on good images and synthetic anomalies, then score images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from clflow.data.images import ImageSource
    from clflow.synthesis.training_data import TrainingData

Observer = Callable[[int], None]


@dataclass(frozen=True)
class Workspace:
    """Where a detector may keep what can be made again: a run's checkpoint, images' features.

    `observer` is called after each training step, of a method that has such, with the number of
    steps done. It may score the detector; it must not change it. `processes` is how many others
    may make samples ahead, 0 for none; None for CLFLOW_WORKERS, else one per core.
    """

    checkpoint: Path | None = None
    features: Path | None = None
    observer: Observer | None = None
    processes: int | None = None


NO_WORKSPACE = Workspace()


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
    """An anomaly detector for one category; the modules it holds beside `backbone` are its own.

    `settings` are all of a method's; None for its defaults, and a `device` of None is chosen.
    `method` is the name it is saved under.
    """

    history_: list[dict[str, float]]

    def __init__(
        self,
        settings: Any = None,
        *,
        method: str | None = None,
        device: "str | torch.device | None" = None,
    ) -> None: ...

    @property
    def backbone(self) -> "nn.Module":
        """The network whose features it reads: uint8 images [N, 3, H, W] to maps.

        Frozen, or the encoder of a network that is trained as a whole.
        """

    @property
    def learns_from_anomalies(self) -> bool:
        """Whether `fit` needs synthetic anomalies beside good images."""

    def fit(
        self, data: "TrainingData", generator: "torch.Generator", workspace: Workspace = ...
    ) -> Self:
        """Learn from the training data; all randomness comes from `generator`."""

    def score(self, images: "ImageSource", workspace: Workspace = ...) -> Scores:
        """Return raw image scores [N] and anomaly maps [N, H, W].

        Raises:
            NotFittedError: the detector was not fitted.
        """

    def save(self, folder: Path) -> None:
        """Write the fitted state: safetensors and JSON, no pickle.

        Raises:
            NotFittedError: the detector was not fitted.
        """

    def frozen_weights(self) -> "Mapping[str, Tensor] | None":
        """Return the weights of the frozen backbone, which `save` leaves out; None without one."""

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        device: "str | torch.device | None" = None,
        weights: Path | None = None,
    ) -> Self:
        """Read a fitted detector; `weights` are those of its backbone, None for the usual."""


@runtime_checkable
class CrossFitted(Protocol):
    """A detector that can score the images it was fitted on as if they were new to it.

    Their scores then set a threshold, and none needs to be held out for it. Each fold is scored by
    all that was learned from the others. A detector that trains a network has no such scores:
    images it was trained on stay known to it, however they are normalised (docs/coverage.md).
    """

    def cross_fitted(
        self, images: "ImageSource", folds: int = ..., workspace: Workspace = ...
    ) -> Scores:
        """Return raw scores [N] and maps [N, H, W] of the good images it was fitted on.

        Raises:
            NotFittedError: the detector was not fitted.
            DataError: there are fewer images than folds.
            SettingsError: a part of it was trained on the images.
        """
