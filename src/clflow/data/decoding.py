"""From the bytes of an image file to its pixels as stored: checked, decoded, turned."""

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clflow.data.headers import Header, other_format, read_header
from clflow.errors import DataError

# of an image that no setting speaks of: 600 MB decoded at most, 16-bit RGB
MAX_PIXELS = 100_000_000

_AS_STORED = cv2.IMREAD_UNCHANGED


def read_content(path: Path) -> bytes:
    """Return the bytes of an image file.

    Raises:
        DataError: it is missing, unreadable or empty.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"cannot read image {path}: {reason}; restore or remove it") from error
    if not content:
        raise DataError(f"cannot read image {path}: the file is empty; restore or remove it")
    return content


def header_of(path: Path, content: bytes, max_pixels: int | None = MAX_PIXELS) -> Header:
    """Return what the content of an image file says of itself; nothing is decoded.

    Raises:
        DataError: it is no PNG, JPEG, BMP or TIFF, or has more pixels than are allowed.
    """
    header = read_header(content)
    if header is None:
        what = other_format(content)
        reason = f"{what} is not read" if what else "it is damaged or no PNG, JPEG, BMP or TIFF"
        way = "convert it to PNG" if what else "restore or remove it"
        raise DataError(f"cannot decode image {path}: {reason}; {way}")
    count = header.width * header.height
    if max_pixels is not None and count > max_pixels:
        raise DataError(
            f"image {path} is {header.width} x {header.height} = {count:,} pixels, more than the "
            f"{max_pixels:,} that are allowed: cut or shrink it, or raise prepare.max_pixels "
            "(of `clflow predict`: --max-pixels)"
        )
    return header


def decode_image(
    path: Path, content: bytes, header: Header, *, upright: bool = True
) -> NDArray[Any]:
    """Return the pixels of a file as OpenCV has them, [H, W] or BGR(A) [H, W, C].

    Of several pages the first is taken. `upright` turns them as the EXIF orientation says.

    Raises:
        DataError: the file is damaged.
    """
    try:
        # imdecode instead of imread: imread cannot open non-ASCII paths on Windows.
        pixels = cv2.imdecode(np.frombuffer(_untagged(content, header), np.uint8), _AS_STORED)
    except cv2.error as error:
        raise DataError(f"cannot decode image {path}: {error.err}; shrink or remove it") from error
    if pixels is None:
        raise DataError(
            f"cannot decode image {path}: it is damaged or no "
            "PNG, JPEG, BMP or TIFF; restore or remove it"
        )
    return turned(pixels, header.orientation) if upright else pixels


def _untagged(content: bytes, header: Header) -> bytes:
    # OpenCV turns TIFF files even when it is told to ignore orientations
    if header.tag is None or header.orientation == 1:
        return content
    place, order = header.tag
    changed = bytearray(content)
    struct.pack_into(f"{order}H", changed, place, 1)
    return bytes(changed)


def turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return stored pixels [H, W, ...] as viewers show them, for an EXIF orientation of 1 to 8."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def colours(pixels: NDArray[Any], path: Path) -> NDArray[Any]:
    """Return decoded pixels as grey [H, W] or RGB [H, W, 3], without alpha.

    Raises:
        DataError: they are not of 8, 16 or 32 bits (float), or have other channels.
    """
    if pixels.dtype not in (np.uint8, np.uint16, np.float32):
        raise DataError(
            f"image {path} has {pixels.dtype} pixels: allowed are 8 and 16 bits and float32; "
            "convert it"
        )
    if pixels.ndim == 2:
        return pixels
    channels = pixels.shape[2]
    if channels not in (3, 4):
        raise DataError(f"image {path} has {channels} channels: allowed are 1, 3 and 4; convert it")
    return np.ascontiguousarray(pixels[..., 2::-1])
