"""A method that needs no training: the brighter a pixel, the more anomalous."""

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from clflow.data.images import ImageSource, resize_image
from clflow.detectors.protocol import Scores, Workspace
from clflow.detectors.registry import Method
from clflow.files import write_text
from clflow.synthesis.training_data import TrainingData

NO_WORKSPACE = Workspace()


class BrightSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = 16
    gain: float = 1 / 3


class BrightDetector:
    """Records its trainings: `fits` are (seed, checkpoint); `interrupted` seeds never finish.

    A seed in `failing` raises that error instead.
    """

    fits: ClassVar[list[tuple[int, Path | None]]] = []
    interrupted: ClassVar[set[int]] = set()
    failing: ClassVar[dict[int, Exception]] = {}

    def __init__(self, settings: BrightSettings, *, method: str = "bright") -> None:
        self.settings = settings
        self.history_: list[dict[str, float]] = []

    def fit(
        self, data: TrainingData, generator: torch.Generator, workspace: Workspace = NO_WORKSPACE
    ) -> Self:
        seed, checkpoint = generator.initial_seed(), workspace.checkpoint
        self.fits.append((seed, checkpoint))
        if seed in self.interrupted:
            assert checkpoint is not None
            write_text(checkpoint, f"step 1 of seed {seed}")
            raise KeyboardInterrupt
        if seed in self.failing:
            raise self.failing[seed]
        draw = torch.rand((), generator=generator).item()
        self.history_ = [{"step": 0.0, "loss": draw}, {"step": 1.0, "loss": 0.5, "nll": 0.25}]
        return self

    def score(self, images: ImageSource, workspace: Workspace = NO_WORKSPACE) -> Scores:
        size, gain = self.settings.size, self.settings.gain
        maps = np.empty((len(images), size, size), np.float32)
        for index in range(len(images)):
            maps[index] = gain * resize_image(images[index], size, size).max(axis=2)
        return Scores(maps.max(axis=(1, 2)), maps)

    def frozen_weights(self) -> None:
        """Return none: its backbone has no weights."""

    def save(self, folder: Path) -> None:
        write_text(folder / "model.json", self.settings.model_dump_json())

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(BrightSettings.model_validate_json((folder / "model.json").read_bytes()))


BRIGHT = Method("bright", BrightSettings, {}, f"{__name__}:BrightDetector")
