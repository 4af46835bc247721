"""Predictions of images, for whatever scores them: a fitted detector, or an export of one."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from clflow.data.given import Image, is_single, several
from clflow.data.images import FileImages, ImageSource
from clflow.data.reading import Reading
from clflow.data.region_of_interest import RegionOfInterest
from clflow.decision.calibration import Calibration
from clflow.decision.prediction import Judge, Prediction

Pixels = NDArray[np.uint8]
# raw scores [N] and maps [N, S, S]
Raw = tuple[NDArray[np.float32], NDArray[np.float32]]

# as many as a backbone sees at once
AT_ONCE = 16


class Predicting(ABC):
    """Predicts by raw scores, thresholds and a region of interest.

    Attributes:
        calibration_: thresholds from good images, None without any.
        region_: what of an image counts, None for all.
        package_: the digest of the package, None for what was not loaded from one.
        reading_: how files are read: what is white in images of more than 8 bits.
    """

    calibration_: Calibration | None
    region_: RegionOfInterest | None
    package_: str | None
    reading_: Reading

    @abstractmethod
    def _check_fitted(self) -> None:
        """Refuse to predict before there is something to predict with."""

    @abstractmethod
    def _raw(self, images: Sequence[Pixels]) -> Raw:
        """Return raw scores and maps of images, uint8 [H, W, 3] each."""

    @property
    @abstractmethod
    def _sizes(self) -> tuple[tuple[int, int], ...]:
        """The sizes (width, height) of the images of the training."""

    @overload
    def predict(self, images: str | os.PathLike[str], *, minimum_area: int = 1) -> Prediction: ...

    @overload
    def predict(
        self, images: list[Any] | tuple[Any, ...], *, minimum_area: int = 1
    ) -> list[Prediction]: ...

    @overload
    def predict(self, images: NDArray[Any], *, minimum_area: int = 1) -> Any: ...

    def predict(
        self, images: Image | Iterable[Image], *, minimum_area: int = 1
    ) -> Prediction | list[Prediction]:
        """Return the prediction of one image, or a list of those of several.

        Args:
            images: a path or an array [H, W] or [H, W, 3], uint8 or uint16; or a list of them.
            minimum_area: regions of fewer pixels are left out.

        Raises:
            NotFittedError: the detector was neither fitted nor loaded.
            DataError: an image cannot be read.
        """
        self._check_fitted()
        found = list(self.predictions(several(images, self.reading_), minimum_area=minimum_area))
        return found[0] if is_single(images) else found

    def predictions(self, images: ImageSource, *, minimum_area: int = 1) -> Iterator[Prediction]:
        """Yield the prediction of each image of a source, a batch in memory at a time.

        Raises:
            NotFittedError: the detector was neither fitted nor loaded.
            DataError: an image cannot be read.
        """
        self._check_fitted()
        judge = Judge(self.calibration_, self.region_, self._sizes, minimum_area)
        names = images.paths if isinstance(images, FileImages) else None
        for index, (image, score, own) in enumerate(self._scored(images)):
            path = None if names is None else str(names[index])
            yield judge.prediction(image, score, own, path)

    def decision_function(self, images: Image | Iterable[Image]) -> NDArray[np.float64]:
        """Return the raw scores [N] of images, as `predict` gives them; maps are not kept.

        Raises:
            NotFittedError: the detector was neither fitted nor loaded.
            DataError: an image cannot be read.
        """
        self._check_fitted()
        return np.array(
            [score for _, score, _ in self._scored(several(images, self.reading_))], np.float64
        )

    def _scored(self, images: ImageSource) -> Iterator[tuple[Pixels, float, NDArray[np.float32]]]:
        """Yield image, raw score and map [S, S] of each image, a batch in memory at a time."""
        for start in range(0, len(images), AT_ONCE):
            some = [images[place] for place in range(start, min(start + AT_ONCE, len(images)))]
            region = self.region_
            seen = some if region is None else [region.painted(image) for image in some]
            for image, score, own in zip(some, *self._raw(seen), strict=True):
                yield image, float(score), own
