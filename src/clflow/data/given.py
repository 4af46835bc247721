"""Images as a user has them: a folder, files, arrays."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clflow.data.images import ArrayImages, FileImages, ImageSource, is_image, read_image, to_rgb8
from clflow.data.reading import AS_USUAL, Reading
from clflow.data.records import entries
from clflow.errors import DataError

# of a path or an array, one image
Image = str | os.PathLike[str] | NDArray[Any]

# where a folder may keep its good images, the first that holds some is taken
GOOD_PLACES = ("good", "train/good", ".")
_ALLOWED = "allowed are a path and an array [H, W] or [H, W, 3], uint8 or uint16"


def is_single(images: object) -> bool:
    """Return whether this is one image rather than several.

    >>> is_single("part.png"), is_single(["part.png"]), is_single(np.zeros((4, 8, 3), np.uint8))
    (True, False, True)
    """
    if isinstance(images, np.ndarray):
        return images.ndim < 4
    return isinstance(images, str | os.PathLike)


def several(images: Image | Iterable[Image], reading: Reading = AS_USUAL) -> ImageSource:
    """Return images as detectors take them: one, or as many as are given.

    `reading` says what is white in images of more than 8 bits.

    Raises:
        DataError: one is of no kind that is allowed, or its file is missing.
    """
    if is_single(images):
        items: list[Any] = [images]
    elif isinstance(images, Iterable):
        items = list(images)
    else:
        raise DataError(f"{type(images).__name__} is no image and no list of images: {_ALLOWED}")
    if all(isinstance(item, str | os.PathLike) for item in items):
        return FileImages(
            tuple(_file(Path(item)) for item in items), _readings(reading, len(items))
        )
    return ArrayImages([_pixels(item, place, reading) for place, item in enumerate(items)])


def _readings(reading: Reading, count: int) -> tuple[Reading, ...]:
    return () if reading == AS_USUAL else (reading,) * count


def good_images(
    images: str | os.PathLike[str] | Iterable[Image], reading: Reading = AS_USUAL
) -> ImageSource:
    """Return good images to learn from: those of a folder, or those of a list; see `several`.

    Of a folder the first of `good/`, `train/good/` and the folder itself that holds images is
    taken, in the order of their names.

    Raises:
        DataError: there are fewer than two, or one is of no kind that is allowed.
    """
    if isinstance(images, str | os.PathLike):
        found: ImageSource = _folder(Path(images), reading)
    else:
        found = several(images, reading)
    if is_single(images) and not isinstance(found, FileImages):
        raise DataError("a single image is not enough to learn from: give a folder or a list")
    if len(found) < 2:
        raise DataError(f"{len(found)} good image(s) are not enough to learn from: give at least 2")
    return found


def _folder(folder: Path, reading: Reading) -> FileImages:
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {what}: give a folder of good images, or a list of images")
    for place in GOOD_PLACES:
        paths = tuple(path for path in entries(folder / place) if is_image(path) and path.is_file())
        if paths:
            return FileImages(paths, _readings(reading, len(paths)))
    places = ", ".join(f"{folder / place}" for place in GOOD_PLACES)
    raise DataError(
        f"no image in {places}: put good images (PNG, JPEG, BMP, TIFF) into one of them"
    )


def _file(path: Path) -> Path:
    if path.is_dir():
        raise DataError(f"{path} is a folder, not an image: list its files")
    if not path.exists():
        raise DataError(f"cannot read image {path}: there is no such file")
    return path


def _pixels(item: object, place: int, reading: Reading) -> NDArray[np.uint8]:
    if isinstance(item, str | os.PathLike):
        return read_image(_file(Path(item)), reading)
    if not isinstance(item, np.ndarray):
        raise DataError(f"image {place} is a {type(item).__name__}: {_ALLOWED}")
    if item.dtype not in (np.uint8, np.uint16):
        raise DataError(f"image {place} has {item.dtype} pixels: {_ALLOWED}; convert it")
    if not (item.ndim == 2 or (item.ndim == 3 and item.shape[2] == 3)) or 0 in item.shape:
        raise DataError(f"image {place} has the shape {list(item.shape)}: {_ALLOWED}")
    return np.ascontiguousarray(to_rgb8(item, reading.white))
