"""What of an image counts: a mask and a border that are ignored, in training and ever after."""

import os
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from clflow.data.images import ImageSource, read_stored, resize_mask
from clflow.data.reading import NONE_IGNORED, Ignored
from clflow.errors import DataError, SettingsError
from clflow.files import digest_of, sha256_of

# what ignored pixels are painted with, in every channel
_PAINT = 128
_LEAST_LEFT = 0.01


@dataclass(frozen=True, eq=False)
class RegionOfInterest:
    """Which pixels are ignored: they are painted over before anything looks at an image.

    A detector learns that grey is normal there, so that what they hold cannot move a score. In the
    anomaly map they take the lowest value of the rest.

    Attributes:
        ignored: true where pixels do not count [H, W], None for none; brought to the size of each
            image by nearest neighbour.
        border: how many pixels from the edges of an image do not count either.
    """

    ignored: NDArray[np.bool_] | None = None
    border: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.border, bool) or not isinstance(self.border, int) or self.border < 0:
            raise SettingsError(f"border is {self.border!r}: give a whole number of pixels, from 0")

    @classmethod
    def read(
        cls, mask: str | os.PathLike[str] | NDArray[Any] | None, border: int = 0
    ) -> Self | None:
        """Return a region of interest from a mask, a file or an array; None where all counts.

        Any pixel that is not zero is ignored.

        Raises:
            DataError: the mask cannot be read, or ignores nearly all.
            SettingsError: the border is no number of pixels.
        """
        pixels = None
        if mask is not None:
            found = mask if isinstance(mask, np.ndarray) else read_stored(Path(mask))
            pixels = (found if found.ndim == 2 else found.max(axis=2)).astype(bool)
            if pixels.mean() > 1 - _LEAST_LEFT:
                raise DataError(
                    f"the mask {'given' if isinstance(mask, np.ndarray) else mask} ignores "
                    f"{pixels.mean():.1%} of an image: pixels that are not zero do not count; "
                    "did you mean it inverted?"
                )
        if pixels is not None and not pixels.any():
            pixels = None
        return None if pixels is None and border == 0 else cls(pixels, border)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what is ignored and what it is painted with."""
        mask = self.ignored
        pixels = None if mask is None else [list(mask.shape), mask.tobytes().hex()]
        return digest_of([pixels, self.border, _PAINT])

    def at(self, height: int, width: int) -> NDArray[np.bool_]:
        """Return which pixels of an image of a size are ignored [height, width].

        Raises:
            DataError: none would be left.
        """
        return _at(self, height, width)

    def painted(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an image [H, W, 3] with what is ignored painted over."""
        out = image.copy()
        out[self.at(*image.shape[:2])] = _PAINT
        return out

    def lowered(
        self, anomaly_map: NDArray[np.float32], shape: tuple[int, int] | None = None
    ) -> NDArray[np.float32]:
        """Return a map [H, W] that has its lowest value where pixels are ignored.

        `shape` is the size (H, W) of its image, by which a border is meant; None for that of the
        map.
        """
        ignored = self.at(*(anomaly_map.shape if shape is None else shape))
        if ignored.shape != anomaly_map.shape:
            ignored = resize_mask(ignored, *anomaly_map.shape)
        counted = anomaly_map[~ignored]
        # nothing may be left at the size of a small map
        return np.where(ignored, (counted if counted.size else anomaly_map).min(), anomaly_map)

    def as_dict(self) -> dict[str, Any]:
        """Return what the file of a package says of it; the mask is a picture beside it."""
        return {"border": self.border, "mask": self.ignored is not None, "paint": _PAINT}


@lru_cache(maxsize=8)
def _at(region: RegionOfInterest, height: int, width: int) -> NDArray[np.bool_]:
    if region.ignored is None:
        ignored = np.zeros((height, width), bool)
    else:
        ignored = resize_mask(region.ignored, height, width)
    if region.border:
        ignored[: region.border], ignored[-region.border :] = True, True
        ignored[:, : region.border], ignored[:, -region.border :] = True, True
    if ignored.all():
        raise DataError(
            f"nothing of an image of {width}x{height} pixels is left to look at: its border of "
            f"{region.border} pixels and the mask cover it; lower the border"
        )
    ignored.flags.writeable = False
    return ignored


@dataclass(frozen=True, eq=False)
class PaintedImages:
    """Images whose ignored pixels are painted over."""

    images: ImageSource
    region: RegionOfInterest

    @property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of every image's own digest with what is ignored of it."""
        return tuple(digest_of([digest, self.region.digest]) for digest in self.images.digests)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return self.region.painted(self.images[index])


def seen(images: ImageSource, region: RegionOfInterest | None) -> ImageSource:
    """Return images as a detector sees them."""
    return images if region is None else PaintedImages(images, region)


@lru_cache(maxsize=8)
def read_region(ignored: Ignored, root: Path) -> RegionOfInterest | None:
    """Return which pixels of a study's images count, None for all; `root` is the study's.

    Raises:
        DataError: the mask is missing or has changed.
    """
    if ignored == NONE_IGNORED:
        return None
    path = root / ignored.mask if ignored.mask else None
    region = RegionOfInterest.read(path, ignored.border)
    if path is not None and sha256_of(path) != ignored.sha256:
        raise DataError(f"the mask {path} differs from its manifest: run `dvc repro`")
    return region


def own_map(
    anomaly_map: NDArray[np.float32], size: tuple[int, int], region: RegionOfInterest | None = None
) -> NDArray[np.float32]:
    """Return a map [S, S] at an image's own size (width, height), interpolated linearly."""
    resized = cv2.resize(anomaly_map, size, interpolation=cv2.INTER_LINEAR)
    own = np.asarray(resized, np.float32)
    return own if region is None else region.lowered(own)
