"""An exported detector that scores images, with numpy, OpenCV and one of two engines alone."""

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from clflow.data.images import fitted_size, resize_image
from clflow.data.turning import turned_images
from clflow.errors import DataError
from clflow.runtime.description import ARRAYS, read_description
from clflow.runtime.registration import Registration
from clflow.runtime.sampling import restored
from clflow.runtime.sessions import Session, open_session

# images that go through a graph at once, as through a detector's backbone
BATCH_SIZE = 16

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


class Engine:
    """Scores images as the detector that was exported.

    Graphs are read when the first image of their size comes.

    Args:
        folder: what `clflow.export` wrote.
        threads: how many the engine may use, None for its own choice.

    Raises:
        DataError: the folder holds no export, or one that is damaged or of a newer version.
    """

    def __init__(self, folder: str | os.PathLike[str], threads: int | None = None) -> None:
        self.folder = Path(folder)
        self.threads = threads
        self.description = read_description(self.folder)
        self._sessions: dict[str, Session] = {}

    def __repr__(self) -> str:
        return f"Engine({str(self.folder)!r}, threads={self.threads!r})"

    def score(self, images: Sequence[Pixels]) -> tuple[Floats, Floats]:
        """Return raw scores [N] and anomaly maps [N, S, S].

        Args:
            images: RGB, uint8 [H, W, 3], of any size.

        Raises:
            DataError: an image is no such array or of a shape that was not exported, a graph
                cannot be read, or a score is not finite.
            SettingsError: the engine's package is not installed.
        """
        size = self.description.image_size
        scores = np.empty(len(images), np.float32)
        maps = np.empty((len(images), size, size), np.float32)
        for rows, pixels in self._batches(images):
            scores[rows], maps[rows] = self._scored(pixels)
        if not np.isfinite(scores).all():
            index = int(np.flatnonzero(~np.isfinite(scores))[0])
            raise DataError(
                f"image {index} has the score {scores[index]}: its features are beyond what the "
                "detector can compare; check the image and the backbone's weights"
            )
        return scores, maps

    def _batches(self, images: Sequence[Pixels]) -> Iterator[tuple[list[int], Pixels]]:
        """Yield batches of images resized to one size [N, H, W, 3], and which they are."""
        waiting: dict[tuple[int, ...], list[int]] = {}
        resized: dict[int, Pixels] = {}
        for index, image in enumerate(images):
            resized[index] = self._resized(image, index)
            rows = waiting.setdefault(resized[index].shape, [])
            rows.append(index)
            if len(rows) == BATCH_SIZE:
                yield self._stacked(waiting.pop(resized[index].shape), resized)
        for rows in waiting.values():
            yield self._stacked(rows, resized)

    def _stacked(self, rows: list[int], resized: dict[int, Pixels]) -> tuple[list[int], Pixels]:
        return rows, np.stack([resized.pop(row) for row in rows])

    def _resized(self, image: Pixels, index: int) -> Pixels:
        shape, dtype = np.shape(image), getattr(image, "dtype", None)
        if len(shape) != 3 or shape[2] != 3 or 0 in shape or dtype != np.uint8:
            raise DataError(
                f"image {index} is {dtype} of shape {shape}: give uint8 arrays [H, W, 3], RGB"
            )
        side = self.description.image_size
        square = self.description.stretched or self.description.registered
        return resize_image(image, *((side, side) if square else fitted_size(*shape[:2], side)))

    def _scored(self, pixels: Pixels) -> tuple[Floats, Floats]:
        session = self._session(*pixels.shape[1:3])
        if not self.description.registered:
            scores, maps = session(pixels)
            return scores, maps
        theta = self._registration(pixels)
        (aligned,) = session(turned_images(pixels, theta, self.description.padding))
        size = self.description.image_size
        pairs = zip(aligned, theta, strict=True)
        maps = np.stack([restored(found, each, size) for found, each in pairs])
        if "smoothing" in self._arrays:
            smoothing = self._arrays["smoothing"]
            maps = np.matmul(smoothing @ maps, smoothing.T, dtype=np.float32)
        return _image_scores(maps, self.description.top_fraction), maps

    def _session(self, height: int, width: int) -> Session:
        file = self.description.graph(height, width)
        if file not in self._sessions:
            self._sessions[file] = open_session(
                self.folder / file, self.description.engine, self.threads
            )
        return self._sessions[file]

    @cached_property
    def _arrays(self) -> dict[str, Floats]:
        path = self.folder / ARRAYS
        try:
            with np.load(path, allow_pickle=False) as file:
                return dict(file)
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise DataError(
                f"{path} cannot be read ({error}): export the detector again"
            ) from error

    @cached_property
    def _registration(self) -> Registration:
        return Registration(self._arrays)


def _image_scores(maps: Floats, top_fraction: float) -> Floats:
    """Return the mean of each map's highest pixels [N]; the maximum for a fraction of 0."""
    flat = maps.reshape(len(maps), -1)
    count = max(1, round(top_fraction * flat.shape[1]))
    if count == 1:
        return flat.max(1)
    return np.partition(flat, -count, axis=1)[:, -count:].mean(1, dtype=np.float32)
