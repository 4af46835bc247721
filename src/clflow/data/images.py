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


def _read_bytes(path: Path) -> NDArray[np.uint8]:
    try:
        content = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"cannot read image {path}: {reason}; restore or remove it") from error
    if content.size == 0:
        raise DataError(f"cannot read image {path}: the file is empty; restore or remove it")
    return content


def _decode(path: Path) -> NDArray[Any]:
    # imdecode instead of imread: imread cannot open non-ASCII paths on Windows.
    content = _read_bytes(path)
    try:
        pixels = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise DataError(f"cannot decode image {path}: {error.err}; shrink or remove it") from error
    if pixels is None:
        raise DataError(
            f"cannot decode image {path}: it is damaged or no "
            "PNG, JPEG, BMP or TIFF; restore or remove it"
        )
    return pixels


def read_stored(path: Path) -> NDArray[Any]:
    """Return the pixels as stored, [H, W] or RGB [H, W, 3], 8 or 16 bits; alpha is dropped.

    An EXIF orientation is ignored, so that an image and its mask stay aligned.

    Raises:
        DataError: the file is missing, empty, damaged or of another depth.
    """
    pixels = _decode(path)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise DataError(
            f"image {path} has {pixels.dtype} pixels: allowed are 8 and 16 bits; convert it"
        )
    return _without_alpha(pixels, path)


def _without_alpha(pixels: NDArray[Any], path: Path) -> NDArray[Any]:
    if pixels.ndim == 2:
        return pixels
    channels = pixels.shape[2]
    if channels not in (3, 4):
        raise DataError(f"image {path} has {channels} channels: allowed are 1, 3 and 4; convert it")
    return np.ascontiguousarray(pixels[..., 2::-1])


def to_rgb8(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return stored pixels as 8-bit RGB [H, W, 3]: 16 bits are divided by 257 and rounded."""
    if pixels.dtype == np.uint16:
        rounded = (pixels.astype(np.uint32) + _LEVELS_16_TO_8 // 2) // _LEVELS_16_TO_8
        pixels = rounded.astype(np.uint8)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return pixels.astype(np.uint8, copy=False)


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return an image as 8-bit RGB [H, W, 3]; grey becomes three equal channels.

    Raises:
        DataError: the file is missing, empty, damaged or of another depth than 8 or 16 bits.
    """
    return to_rgb8(read_stored(path))


def read_mask(path: Path, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return a mask [H, W], true where any colour channel is not zero.

    Raises:
        DataError: the file cannot be read, or its size is not `shape` (H, W).
    """
    pixels = read_stored(path)
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
    """Images in files."""

    paths: tuple[Path, ...]

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of every file as it is now."""
        with ThreadPoolExecutor(2) as pool:
            return tuple(pool.map(sha256_of, self.paths))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        return read_image(self.paths[index])


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
