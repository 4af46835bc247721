"""What is to be inspected: files, folders, patterns, lists and videos, one image at a time."""

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clflow.data.images import MAX_PIXELS, is_image, read_image
from clflow.data.reading import AS_USUAL, Reading
from clflow.errors import DataError

VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"})
# in place of an input: names come line by line from the standard input
LISTED = "-"


@dataclass(frozen=True)
class Item:
    """One image to come: its name in the results, and what reads it, uint8 [H, W, 3].

    `read` raises DataError where there is no image to be had.
    """

    name: str
    read: Callable[[], NDArray[np.uint8]]


@dataclass
class Passed:
    """Files of folders that were passed by: neither images nor videos."""

    count: int = 0
    first: str = ""

    def note(self, path: Path) -> None:
        """Count one more."""
        self.first = self.first or str(path)
        self.count += 1


@dataclass(frozen=True)
class How:
    """How files are read.

    Attributes:
        reading: what is white in images of more than 8 bits.
        max_pixels: an image of more is not decoded.
    """

    reading: Reading = AS_USUAL
    max_pixels: int = MAX_PIXELS


def find_items(
    inputs: Iterable[str],
    lines: Iterable[str] = (),
    passed: Passed | None = None,
    how: How | None = None,
) -> Iterator[Item]:
    """Yield the images that inputs stand for, in the order given; folders by name, all levels.

    Args:
        inputs: files, folders, patterns with `*`, `?` or `[`, videos, or `-` for `lines`.
        lines: names of files, one a line.
        passed: counts what folders hold beside images and videos.
        how: files are read.
    """
    how, passed = how or How(), passed or Passed()
    for text in inputs:
        if text == LISTED:
            names = (line.rstrip("\r\n") for line in lines)
            listed = (name for name in names if name and name != LISTED)
            yield from find_items(listed, (), passed, how)
        else:
            yield from _items_of(text, passed, how)


def _items_of(text: str, passed: Passed, how: How) -> Iterator[Item]:
    path = Path(text)
    if path.is_dir():
        yield from _in_folder(path, passed, how)
    elif not path.exists() and any(sign in text for sign in "*?["):
        # patterns may be absolute, which those of `Path.glob` may not
        found = sorted(glob.glob(text, recursive=True))  # noqa: PTH207
        if not found:
            yield Item(text, partial(_refuse, f"no file matches {text!r}: check the pattern"))
        for name in found:
            yield from _items_of(name, passed, how)
    else:
        yield from _of_file(path, how)


def _in_folder(folder: Path, passed: Passed, how: How) -> Iterator[Item]:
    found = False
    for parent, folders, names in os.walk(folder):
        # in place: this is where `walk` goes next
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            path = Path(parent, name)
            if is_image(path) or is_video(path):
                found = True
                yield from _of_file(path, how)
            else:
                passed.note(path)
    if not found:
        reason = f"no image or video in {folder}: put PNG, JPEG, BMP or TIFF files there"
        yield Item(_shown(folder), partial(_refuse, reason))


def _of_file(path: Path, how: How) -> Iterator[Item]:
    if is_video(path) and path.is_file():
        yield from _frames(path)
    else:
        yield Item(_shown(path), partial(_read, path, how))


def _read(path: Path, how: How) -> NDArray[np.uint8]:
    return read_image(path, how.reading, how.max_pixels)


def is_video(path: Path) -> bool:
    """Return whether a file has the suffix of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def _frames(path: Path) -> Iterator[Item]:
    """Yield the frames of a video as they are decoded; each must be read before the next."""
    video = cv2.VideoCapture(str(path))
    try:
        announced, count = int(video.get(cv2.CAP_PROP_FRAME_COUNT)), 0
        while True:
            decoded, frame = video.read()
            if not decoded:
                break
            pixels: NDArray[Any] = np.ascontiguousarray(frame[..., ::-1])
            yield Item(f"{_shown(path)}#{count:06d}", partial(_same, pixels))
            count += 1
        if count == 0:
            reason = f"no frame of video {path} can be decoded: it is damaged or of another codec"
            yield Item(_shown(path), partial(_refuse, reason))
        elif count < announced:
            reason = f"video {path} ends after {count} of {announced} frames: it was cut short"
            yield Item(f"{_shown(path)}#{count:06d}", partial(_refuse, reason))
    finally:
        video.release()


def _shown(path: Path) -> str:
    """Return a path as results name it: what is no Unicode in it is spelt out."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def _same(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return pixels


def _refuse(reason: str) -> NDArray[np.uint8]:
    raise DataError(reason)
