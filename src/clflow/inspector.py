"""The front door: a detector that is fitted on images, saved, loaded, and asked about new ones."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

import cv2
import numpy as np
from numpy.typing import NDArray

from clflow.data.given import Image, good_images, is_single, several
from clflow.data.images import ArrayImages, ImageSource
from clflow.detectors.protocol import Workspace
from clflow.detectors.registry import Method, find_method
from clflow.detectors.saved import DESCRIPTION, WEIGHTS, load_detector, read_description
from clflow.device import exact_repeats
from clflow.errors import DataError, NotFittedError, SettingsError
from clflow.files import atomic_folder
from clflow.settings import list_problems, problems_of
from clflow.synthesis.settings import SynthesizeSettings
from clflow.synthesis.training_data import TrainingData

if TYPE_CHECKING:
    import torch
    from pydantic import BaseModel

    from clflow.detectors.protocol import Detector as Protocol

# images that are scored at once, a multiple of what a backbone sees at once
_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a detector says of one image: the higher, the more anomalous.

    Attributes:
        score: raw, as the method computes it; neither normalised nor clamped.
        anomaly_map: raw score of each pixel at the image's own size, float32 [H, W].
    """

    score: float
    anomaly_map: NDArray[np.float32]

    def __repr__(self) -> str:
        height, width = self.anomaly_map.shape
        return f"Prediction(score={self.score:.6g}, anomaly_map=float32 [{height}, {width}])"


class Detector:
    """An anomaly detector that learns from good images.

    Args:
        method: one of those in `clflow.detectors.registry.METHODS`.
        settings: what differs from the method's defaults, section by section.
        seed: all randomness of `fit` follows from it.
        device: such as "cpu" or "cuda"; None for CUDA where there is one, else the CPU.

    Attributes:
        detector_: what was fitted, as the method has it.
        history_: loss and its terms at the logged steps of training; empty where nothing is
            trained by steps, and for a loaded detector.

    Raises:
        SettingsError: the method is unknown, or a setting is; all problems at once.

    >>> detector = Detector("fastflow", settings={"training": {"steps": 50}}, seed=1)
    >>> detector
    Detector(method='fastflow', settings={'training': {'steps': 50}}, seed=1, device=None)
    >>> detector.predict("part.png")
    Traceback (most recent call last):
    ...
    clflow.errors.NotFittedError: this Detector is not fitted yet: fit it, or load a saved one
    """

    detector_: "Protocol"
    history_: list[dict[str, float]]

    def __init__(
        self,
        method: str = "clflow",
        settings: Mapping[str, Any] | None = None,
        seed: int = 0,
        device: "str | torch.device | None" = None,
    ) -> None:
        self.method = method
        self.settings = settings
        self.seed = seed
        self.device = device
        _complete(find_method(method), settings)
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise SettingsError(f"seed is {seed!r}: it must be a whole number, 0 or more")

    def __repr__(self) -> str:
        values = (f"{name}={getattr(self, name)!r}" for name in _PARAMETERS)
        return f"Detector({', '.join(values)})"

    def fit(self, images: str | os.PathLike[str] | Iterable[Image]) -> Self:
        """Learn from good images.

        Args:
            images: a folder, of which `good/`, `train/good/` or else the folder itself is taken;
                or a list of paths, or of arrays [H, W] or [H, W, 3], uint8 or uint16.

        Raises:
            DataError: there are too few images, one cannot be read, or synthetic anomalies find no
                place in them.
            SettingsError: the device is not usable, or a package or weights that the method needs
                are missing.
            TrainingError: the training diverged.
        """
        import torch

        good = good_images(images)
        method = find_method(self.method)
        chosen = _complete(method, self.settings)
        detector = method.detector_class()(chosen, method=self.method, device=self.device)
        generator = torch.Generator().manual_seed(int(self.seed))
        with exact_repeats(), _training_data(detector, good, chosen) as data:
            detector.fit(data, generator, Workspace(processes=_processes()))
        self._take(detector)
        return self

    @overload
    def predict(self, images: str | os.PathLike[str]) -> Prediction: ...

    @overload
    def predict(self, images: list[Any] | tuple[Any, ...]) -> list[Prediction]: ...

    @overload
    def predict(self, images: NDArray[Any]) -> Any: ...

    def predict(self, images: Image | Iterable[Image]) -> Prediction | list[Prediction]:
        """Return the prediction of one image, or a list of those of several.

        Args:
            images: a path or an array [H, W] or [H, W, 3], uint8 or uint16; or a list of them.

        Raises:
            NotFittedError: the detector was neither fitted nor loaded.
            DataError: an image cannot be read.
        """
        self._check_fitted()
        found = [
            Prediction(score, _at_size(anomaly_map, size))
            for score, anomaly_map, size in self._scored(several(images))
        ]
        return found[0] if is_single(images) else found

    def decision_function(self, images: Image | Iterable[Image]) -> NDArray[np.float64]:
        """Return the raw scores [N] of images, as `predict` gives them; maps are not kept.

        Raises:
            NotFittedError: the detector was neither fitted nor loaded.
            DataError: an image cannot be read.
        """
        self._check_fitted()
        return np.array([score for score, _, _ in self._scored(several(images))], np.float64)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the fitted detector into a folder, whole or not: safetensors and JSON, no pickle.

        Raises:
            NotFittedError: the detector was neither fitted nor loaded.
            DataError: the folder holds something else than a saved detector.
            StorageError: it cannot be written.
        """
        self._check_fitted()
        path = Path(folder)
        _check_free(path)
        with atomic_folder(path) as partial:
            self.detector_.save(partial)

    def _take(self, detector: "Protocol") -> None:
        self.detector_ = detector
        self.history_ = detector.history_

    def _check_fitted(self) -> None:
        if not hasattr(self, "detector_"):
            raise NotFittedError("this Detector is not fitted yet: fit it, or load a saved one")

    def _scored(
        self, images: ImageSource
    ) -> Iterator[tuple[float, NDArray[np.float32], tuple[int, int]]]:
        """Yield score, map [S, S] and own size (width, height) of images, some read at a time."""
        for start in range(0, len(images), _AT_ONCE):
            some = [images[index] for index in range(start, min(start + _AT_ONCE, len(images)))]
            with exact_repeats():
                scores = self.detector_.score(ArrayImages(some))
            for image, score, found in zip(
                some, scores.image_scores, scores.anomaly_maps, strict=True
            ):
                yield float(score), found, (image.shape[1], image.shape[0])


_PARAMETERS = ("method", "settings", "seed", "device")


def fit(
    images: str | os.PathLike[str] | Iterable[Image],
    *,
    method: str = "clflow",
    seed: int = 0,
    device: "str | torch.device | None" = None,
    **settings: Any,
) -> Detector:
    """Return a detector fitted on good images; see `Detector` and `Detector.fit`.

    `settings` are sections of the method's, such as `training={"steps": 50}`.
    """
    return Detector(method, settings or None, seed, device).fit(images)


def load(folder: str | os.PathLike[str], *, device: "str | torch.device | None" = None) -> Detector:
    """Return a saved detector: of `Detector.save`, or a model that a study trained.

    Raises:
        DataError: the folder holds no model, a training that failed, or one that is damaged or of
            another version.
        SettingsError: the device is not usable, a package that the method needs is missing, or the
            weights of the backbone are not those it was trained with.
    """
    path = Path(folder)
    with exact_repeats():
        loaded = load_detector(path, device)
    description = read_description(path)
    detector = Detector(description["method"], description["settings"], description["seed"], device)
    detector._take(loaded)
    return detector


def _complete(method: Method, values: Mapping[str, Any] | None) -> "BaseModel":
    if values is not None and not isinstance(values, Mapping):
        raise SettingsError(
            f"settings are {values!r}: give a mapping of sections, or None for the defaults of "
            f"{method.name}"
        )
    complete = method.complete(values or {})
    if problems := problems_of(method.settings_model, complete, "settings"):
        raise SettingsError(list_problems(problems, f"Detector({method.name!r})"))
    return method.settings_model.model_validate(complete)


@contextmanager
def _training_data(
    detector: "Protocol", good: ImageSource, settings: "BaseModel"
) -> Iterator[TrainingData]:
    """Yield the good images, with anomalies of the detector's input size where it needs them."""
    if not detector.learns_from_anomalies:
        yield TrainingData(good)
        return
    from clflow.synthesis.fresh import fresh_anomalies

    own = settings.model_dump(include={"image_size", "aspect"})
    with fresh_anomalies(good, SynthesizeSettings(**own)) as data:
        yield data


def _at_size(anomaly_map: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return a map of a size (width, height), interpolated as `evaluate` does."""
    return np.asarray(cv2.resize(anomaly_map, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _processes() -> int | None:
    """Return none but this one, unless CLFLOW_WORKERS is set.

    A fresh process runs the script of its parent again, which a library must not demand of it.
    """
    return None if os.environ.get("CLFLOW_WORKERS") else 0


def _check_free(folder: Path) -> None:
    if folder.is_dir() and not {path.name for path in folder.iterdir()} <= {DESCRIPTION, WEIGHTS}:
        raise DataError(
            f"{folder} holds other files than those of a saved detector: give a new folder"
        )
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file: give a new folder to save the detector in")
