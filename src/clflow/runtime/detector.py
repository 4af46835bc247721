"""The front door of the runtime: an export is loaded and predicts as the package it came from."""

import os
from collections.abc import Sequence
from pathlib import Path

from clflow.decision.package import Package, read_package
from clflow.decision.predicting import Pixels, Predicting, Raw
from clflow.runtime.engine import Engine


class Detector(Predicting):
    """An exported detector: numpy, OpenCV and the engine that it was exported for are enough.

    Args:
        folder: what `clflow export` wrote; every file is checked against its hash.
        threads: how many the engine may use, None for its own choice.

    Raises:
        DataError: the folder holds no export, or one that is damaged or of a newer version.
    """

    def __init__(self, folder: str | os.PathLike[str], threads: int | None = None) -> None:
        self._package: Package = read_package(Path(folder))
        self.engine = Engine(folder, threads)
        self.calibration_ = self._package.calibration
        self.region_ = self._package.region
        self.package_ = self._package.digest
        self.reading_ = self._package.reading

    def __repr__(self) -> str:
        return f"Detector({str(self.engine.folder)!r}, threads={self.engine.threads!r})"

    def _check_fitted(self) -> None:
        """An export always is."""

    def _raw(self, images: Sequence[Pixels]) -> Raw:
        return self.engine.score(images)

    @property
    def _sizes(self) -> tuple[tuple[int, int], ...]:
        return self._package.sizes


def load(folder: str | os.PathLike[str], *, threads: int | None = None) -> Detector:
    """Return an exported detector; see `Detector`."""
    return Detector(folder, threads)
