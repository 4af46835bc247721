"""Images and masks: read, resized and written; sources that hand a detector one at a time."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from clflow import files
from clflow.data.decoding import MAX_PIXELS, colours, decode_image, header_of, read_content
from clflow.data.reading import AS_USUAL, Reading
from clflow.errors import DataError
from clflow.files import sha256_of

# half-open, in pixels: x0, y0, x1, y1
Box = tuple[int, int, int, int]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})

# 65535 / 257 = 255: the whole 16-bit range on the whole 8-bit range.
_LEVELS_16_TO_8 = 257
_PNG_COMPRESSION = 1
_SNAP = 8


def is_image(path: Path) -> bool:
    """Return whether a file has an image suffix."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def read_stored(
    path: Path, *, upright: bool = True, max_pixels: int | None = MAX_PIXELS
) -> NDArray[Any]:
    """Return the pixels as stored, [H, W] or RGB [H, W, 3], of 8 or 16 bits; alpha is dropped.

    They are turned as the EXIF orientation says, as viewers do, unless `upright` is false.

    Raises:
        DataError: the file is missing, empty, damaged, too large or of another depth.
    """
    content = read_content(path)
    header = header_of(path, content, max_pixels)
    return colours(decode_image(path, content, header, upright=upright), path)


def to_rgb8(pixels: NDArray[Any], white: float | None = None) -> NDArray[np.uint8]:
    """Return stored pixels as 8-bit RGB [H, W, 3].

    16 bits are divided by 257 and rounded; with `white`, that value becomes 255 and brighter ones
    too. 8 bits are left as they are.
    """
    if pixels.dtype == np.uint16 and white is None:
        rounded = (pixels.astype(np.uint32) + _LEVELS_16_TO_8 // 2) // _LEVELS_16_TO_8
        pixels = rounded.astype(np.uint8)
    elif pixels.dtype != np.uint8 and white is not None:
        levels = np.clip(pixels * (255.0 / white), 0, 255)
        pixels = np.floor(levels + 0.5).astype(np.uint8)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return pixels.astype(np.uint8, copy=False)


def read_image(
    path: Path, reading: Reading = AS_USUAL, max_pixels: int | None = MAX_PIXELS
) -> NDArray[np.uint8]:
    """Return an image as 8-bit RGB [H, W, 3]; grey becomes three equal channels.

    Its header is read first: an image of more than `max_pixels` is not decoded.

    Raises:
        DataError: the file is missing, empty, damaged, too large or of another depth.
    """
    pixels = read_stored(path, upright=reading.upright, max_pixels=max_pixels)
    if pixels.dtype == np.float32 and not np.isfinite(pixels).all():
        raise DataError(f"image {path} has pixels that are NaN or infinite; restore or remove it")
    if pixels.dtype == np.float32 and reading.white is None:
        raise DataError(
            f"image {path} has float32 pixels, of which no one says what is white: allowed are 8 "
            "and 16 bits; convert it"
        )
    return to_rgb8(pixels, reading.white)


def read_mask(path: Path, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return a mask that this package wrote [H, W], true where any colour channel is not zero.

    Raises:
        DataError: the file cannot be read, or its size is not `shape` (H, W).
    """
    pixels = read_stored(path, max_pixels=None)
    if pixels.shape[:2] != shape:
        height, width = pixels.shape[:2]
        raise DataError(
            f"mask {path} is {width}x{height} but its image is {shape[1]}x{shape[0]} "
            "(width x height): export the mask at the size of the image"
        )
    return (pixels if pixels.ndim == 2 else pixels.max(axis=2)).astype(bool)


def fitted_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Return the size (H, W) of the area side x side that keeps an image's aspect ratio.

    The shorter side is the nearest of the multiples of 8 and `side`, so that few sizes occur; the
    size of a fitted image is its own.
    """
    shorter, longer = sorted((height, width))
    exact = side * math.sqrt(shorter / longer)
    snapped = max(_SNAP, _SNAP * round(exact / _SNAP))
    short = min(side, snapped, key=lambda length: abs(length - exact))
    long = max(side, round(side * side / short))
    return (short, long) if height <= width else (long, short)


def resize_image(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return an image [H, W, 3] resized to [height, width, 3].

    Shrinking averages over pixel areas, which does not alias fine texture into false anomalies;
    otherwise cubic, which keeps edges sharper than linear.
    """
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), dtype=np.uint8)


def resize_mask(mask: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """Return a mask [H, W] resized to [height, width] by nearest neighbour."""
    # Exact: plain INTER_NEAREST takes corners instead of centres, half a pixel off.
    pixels = cv2.resize(
        mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT
    )
    return np.asarray(pixels).astype(bool)


def write_png(path: Path, array: NDArray[np.uint8] | NDArray[np.bool_]) -> None:
    """Write an RGB [H, W, 3] or grey [H, W] image, or a mask [H, W] as 0 and 255, whole or not.

    Raises:
        StorageError: the file cannot be written.
    """
    pixels: NDArray[np.uint8] = array.astype(np.uint8)
    if array.dtype == np.bool_:
        pixels = pixels * np.uint8(255)
    stored = np.ascontiguousarray(pixels[..., ::-1]) if pixels.ndim == 3 else pixels
    encoded = cv2.imencode(".png", stored, [cv2.IMWRITE_PNG_COMPRESSION, _PNG_COMPRESSION])[1]
    files.write_bytes(path, encoded.tobytes())


class ImageSource(Protocol):
    """A sequence of RGB images whose contents are identified by digests."""

    @property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of every image, in order."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> np.ndarray:
        """Return one image, uint8 [H, W, 3]."""


@dataclass(frozen=True)
class FileImages:
    """Images in files; `readings` says how each is read, nothing where all are read as usual.

    A manifest's images are of any size, as it was allowed when it was made: their `max_pixels` is
    None.
    """

    paths: tuple[Path, ...]
    readings: tuple[Reading, ...] = ()
    max_pixels: int | None = MAX_PIXELS

    @cached_property
    def contents(self) -> tuple[str, ...]:
        """SHA-256 of every file as it is now."""
        with ThreadPoolExecutor(2) as pool:
            return tuple(pool.map(sha256_of, self.paths))

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of every file, and of how it is read where that is not as usual."""
        readings = [str(reading) for reading in self.readings] or [""] * len(self.paths)
        return tuple(
            files.digest_of([content, reading]) if reading else content
            for content, reading in zip(self.contents, readings, strict=True)
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        reading = self.readings[index] if self.readings else AS_USUAL
        return read_image(self.paths[index], reading, self.max_pixels)


@dataclass(frozen=True, eq=False)
class ArrayImages:
    """Images in memory, uint8 [H, W, 3] each."""

    arrays: Sequence[np.ndarray]

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of every array's shape and bytes."""
        return tuple(
            sha256(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes()).hexdigest()
            for array in self.arrays
        )

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.arrays[index]
