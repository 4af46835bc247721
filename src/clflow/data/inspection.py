"""One pass over the files of a category: what each of them is and what is wrong with it."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Condition
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from clflow.data.accounting import Unread, unread_files
from clflow.data.decoding import colours, decode_image, header_of, read_content
from clflow.data.headers import Header
from clflow.data.ignoring import NOTHING_IGNORED, Ignoring, find_ignored, misfits
from clflow.data.layouts import find_images, find_layout
from clflow.data.masks import GivenMask, judge, read_given_mask
from clflow.data.preparation import PrepareSettings
from clflow.data.reading import Reading
from clflow.data.records import GOOD, TRAIN, Found
from clflow.data.region_of_interest import RegionOfInterest
from clflow.errors import DataError
from clflow.progress import track

MaskState = Literal["none", "empty", "filled", "broken"]

THUMBNAIL = 32
# Reading and hashing release the interpreter lock; more threads only cost memory.
_READERS = 8


@dataclass(frozen=True, eq=False)
class Look:
    """What the pixels of an image are like.

    Those that are ignored are black in the digest and the thumbnail, and left out otherwise.
    `digest` is that of the decoded pixels, `thumbnail` [32, 32] their mean grey values as stored;
    `depth` as "16-bit", `low` and `peak` the smallest and largest value, `values` the number of
    colours, counted to 3; `ends` the share of pixels in the lowest or highest tenth of the range.
    `orientation` is the EXIF one, `pages` the number of pages or frames.
    """

    digest: str
    thumbnail: NDArray[np.float32]
    depth: str
    low: float
    peak: float
    values: int
    ends: float = 0.0
    orientation: int = 1
    pages: int = 1


@dataclass(frozen=True)
class Finding:
    """What one image is; `name` is its path relative to the root, `kind` as "png 8-bit grey".

    An image that cannot be read has an empty `sha256` and a `problem`.
    """

    found: Found
    name: str
    sha256: str = ""
    height: int = 0
    width: int = 0
    kind: str = ""
    mask_state: MaskState = "none"
    problem: str | None = None
    look: Look | None = None
    mask: GivenMask | None = None

    @property
    def readable(self) -> bool:
        """Whether the image itself can be read."""
        return bool(self.sha256)


@dataclass(frozen=True)
class Inspection:
    """The findings of a category; `unread` are its other files; `masks` is where those are.

    `ignoring` is what does not count of its images.
    """

    category: str
    findings: tuple[Finding, ...]
    unread: tuple[Unread, ...]
    masks: str = ""
    ignoring: Ignoring = NOTHING_IGNORED

    def select(self, label: int | None = None, part: str | None = None) -> list[Finding]:
        """Return the readable images with this label and of this part."""
        return [
            finding
            for finding in self.findings
            if finding.readable
            and label in (None, finding.found.label)
            and part in (None, finding.found.part)
        ]


def inspect_category(
    root: Path, category: str, layout: str, settings: PrepareSettings
) -> Inspection:
    """Read every image and mask of a category once.

    Raises:
        SettingsError: no such layout or category.
        DataError: the folder does not have the layout.
    """
    images = find_images(root, category, layout)
    chosen = find_layout(layout)
    folder = chosen.folder(root, category)
    ignoring = find_ignored(folder, category, settings)
    work = partial(_inspect_image, root, settings, _Budget(settings.max_pixels), ignoring.region)
    with ThreadPoolExecutor(_READERS) as pool:
        findings = tuple(track(pool.map(work, images), f"reading {category}", len(images)))
    listed = layout in ("table", "visa")
    unread = tuple(unread_files(root, folder, images, listed, ignoring.path))
    shapes = {(one.height, one.width): one.name for one in findings[::-1] if one.readable}
    return Inspection(category, findings, unread, chosen.masks, misfits(ignoring, shapes))


def inspect_files(
    paths: Sequence[Path], settings: PrepareSettings, region: RegionOfInterest | None = None
) -> tuple[Finding, ...]:
    """Read files once that are all good images of one category, of no layout."""
    found = [Found(path, None, GOOD, 0, TRAIN) for path in paths]
    work = partial(_inspect_image, Path(), settings, _Budget(settings.max_pixels), region)
    with ThreadPoolExecutor(_READERS) as pool:
        return tuple(track(pool.map(work, found), "reading good images", len(found)))


class _Budget:
    """Pixels that readers may hold at a time; one image is always let through."""

    def __init__(self, limit: int) -> None:
        self._limit, self._held = limit, 0
        self._changed = Condition()

    @contextmanager
    def holding(self, pixels: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + pixels <= self._limit)
            self._held += pixels
        try:
            yield
        finally:
            with self._changed:
                self._held -= pixels
                self._changed.notify_all()


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _inspect_image(
    root: Path,
    settings: PrepareSettings,
    budget: _Budget,
    region: RegionOfInterest | None,
    found: Found,
) -> Finding:
    name = _relative(found.path, root)
    try:
        content = read_content(found.path)
        header = header_of(found.path, content, settings.max_pixels)
        with budget.holding(header.width * header.height):
            return _inspected(found, name, content, header, settings, region)
    except DataError as error:
        return Finding(found, name, problem=str(error))


def _inspected(
    found: Found,
    name: str,
    content: bytes,
    header: Header,
    settings: PrepareSettings,
    region: RegionOfInterest | None,
) -> Finding:
    upright = settings.orientation != "ignore"
    pixels = colours(decode_image(found.path, content, header, upright=upright), found.path)
    height, width = pixels.shape[:2]
    look = _look(pixels, header, _counted(region, (height, width)))
    kind = f"{found.path.suffix.lower().lstrip('.')} {look.depth} {_colour(pixels)}"
    del pixels
    state, mask, problem = _inspect_mask(found, (height, width), header, settings)
    problem = _header_problem(found.path, header, settings) or problem
    digest = sha256(content).hexdigest()
    return Finding(found, name, digest, height, width, kind, state, problem, look, mask)


def _header_problem(path: Path, header: Header, settings: PrepareSettings) -> str | None:
    if header.pages > 1 and settings.pages == "refuse":
        return (
            f"image {path} has {header.pages} pages or frames, of which one would be read: save "
            "each as a file, or take the first of all with prepare.pages: first"
        )
    if header.orientation != 1 and settings.orientation == "refuse":
        return (
            f"image {path} has the EXIF orientation {header.orientation}, which prepare.orientation"
            ": refuse does not allow: save it turned and without the tag"
        )
    return None


def _inspect_mask(
    found: Found, shape: tuple[int, int], header: Header, settings: PrepareSettings
) -> tuple[MaskState, GivenMask | None, str | None]:
    path, reading = (
        found.mask,
        Reading(upright=settings.orientation != "ignore", mask=settings.mask),
    )
    if path is None:
        return "none", None, None
    try:
        own = header_of(path, read_content(path), settings.max_pixels)
        turn = header.orientation if reading.upright else 1
        mask = read_given_mask(path, shape, reading, turn, settings.max_pixels)
    except DataError as error:
        return "broken", None, str(error)
    if problem := judge(mask, settings.mask_share):
        return "broken", mask, f"mask {path} {problem}"
    state: MaskState = "filled" if mask.marked.any() else "empty"
    # of thousands of masks, only what is said of them is kept
    kept = GivenMask(np.zeros((0, 0), bool), mask.how, mask.colours)
    return state, kept, _header_problem(path, own, settings)


def _colour(pixels: NDArray[Any]) -> str:
    return "grey" if pixels.ndim == 2 else "RGB"


def _counted(region: RegionOfInterest | None, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Return which pixels count [H, W], None for all; also where none does, which others tell."""
    try:
        return None if region is None else ~region.at(*shape)
    except DataError:
        return None


def _look(pixels: NDArray[Any], header: Header, counted: NDArray[np.bool_] | None = None) -> Look:
    if counted is not None:
        pixels = np.where(counted if pixels.ndim == 2 else counted[..., None], pixels, 0).astype(
            pixels.dtype
        )
    if pixels.ndim == 3 and _is_grey(pixels):
        pixels = np.ascontiguousarray(pixels[..., 0])
    depth = "float" if pixels.dtype == np.float32 else f"{pixels.itemsize * 8}-bit"
    digest = sha256(repr((pixels.shape, depth)).encode() + pixels.tobytes()).hexdigest()
    grey = pixels if pixels.ndim == 2 else pixels.mean(axis=2, dtype=np.float32)
    grey = grey.astype(np.float32)
    small = cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    if counted is not None:
        pixels, grey = pixels[counted][None], grey[counted][None]
    low, peak = float(pixels.min()), float(pixels.max())
    return Look(
        digest,
        np.asarray(small, np.float32),
        depth,
        low,
        peak,
        _count_values(pixels),
        _at_ends(grey),
        header.orientation,
        header.pages,
    )


def _at_ends(grey: NDArray[np.float32]) -> float:
    low, high = float(grey.min()), float(grey.max())
    margin = 0.1 * (high - low)
    return float(((grey <= low + margin) | (grey >= high - margin)).mean())


def _is_grey(pixels: NDArray[Any]) -> bool:
    first = pixels[..., 0]
    return bool((first == pixels[..., 1]).all() and (first == pixels[..., 2]).all())


def _count_values(pixels: NDArray[Any]) -> int:
    """Return how many colours there are, 3 for all numbers above 2."""
    flat = pixels.reshape(pixels.shape[0] * pixels.shape[1], -1)
    others = flat[(flat != flat[0]).any(axis=1)]
    if not len(others):
        return 1
    return 3 if (others != others[0]).any() else 2
