"""Images as records: what a layout finds, and the manifest of a category with its splits."""

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from clflow import files
from clflow.data.images import read_image
from clflow.data.masks import read_given_mask
from clflow.data.reading import Reading, parse_ignored, parse_reading
from clflow.data.region_of_interest import RegionOfInterest, read_region
from clflow.errors import DataError

GOOD = "good"
ANOMALY = "anomaly"
TRAIN, TEST, ANY = "train", "test", "any"
GROUND_TRUTH, MASKS = "ground_truth", "masks"
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Found:
    """An image of a category; `part` is "any" where the data leave the split to the draw."""

    path: Path
    mask: Path | None
    defect: str
    label: int
    part: str


class Layout(Protocol):
    """How a data set is laid out."""

    @property
    def expects(self) -> str:
        """The folders or files that make a category, for messages."""

    @property
    def masks(self) -> str:
        """Where the masks are, for messages."""

    def matches(self, root: Path) -> bool:
        """Return whether `root` looks like this layout."""

    def categories(self, root: Path) -> list[str]:
        """Return the names of the categories, sorted."""

    def folder(self, root: Path, category: str) -> Path:
        """Return the folder of a category."""

    def images(self, root: Path, category: str) -> list[Found]:
        """Return the images of a category, in a fixed order."""


@dataclass(frozen=True)
class Record:
    """One image: POSIX paths relative to the study root, size in pixels, label 0 good, 1 anomalous.

    `defect` is "good" or the name of the defect, `mask` is None where there is none. `reading` says
    how image and mask are read and which pixels do not count, nothing where that is as usual.
    """

    path: str
    sha256: str
    width: int
    height: int
    label: int
    defect: str
    mask: str | None
    split: str
    reading: str = ""

    def how(self) -> Reading:
        """Return how image and mask are read."""
        return parse_reading(self.reading)

    def region(self, root: Path) -> RegionOfInterest | None:
        """Return which of its pixels count, None for all.

        Raises:
            DataError: the mask of what is ignored is missing or has changed.
        """
        return read_region(parse_ignored(self.reading), root)


# the last column is written only where some image is not read as usual
_READING = "reading"
COLUMNS = ("category", *(field.name for field in fields(Record) if field.name != _READING))


@dataclass(frozen=True)
class Manifest:
    """The images of a category, sorted by path."""

    category: str
    records: tuple[Record, ...]

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.records, key=attrgetter("path")))
        object.__setattr__(self, "records", ordered)

    def _of(self, split: str) -> tuple[Record, ...]:
        return tuple(record for record in self.records if record.split == split)

    @property
    def train(self) -> tuple[Record, ...]:
        """Good images to train on."""
        return self._of("train")

    @property
    def validation(self) -> tuple[Record, ...]:
        """Good images held out from training."""
        return self._of("validation")

    @property
    def test(self) -> tuple[Record, ...]:
        """Good and anomalous images to score."""
        return self._of("test")

    @property
    def has_masks(self) -> bool:
        """Whether at least one test image has a mask."""
        return any(record.mask for record in self.test)

    @property
    def digest(self) -> str:
        """SHA-256 over the category and all records."""
        return files.digest_of([self.category, [_values(record) for record in self.records]])


def _values(record: Record) -> dict[str, Any]:
    values = asdict(record)
    return values if record.reading else {k: v for k, v in values.items() if k != _READING}


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest as CSV, whole or not; equal manifests give equal bytes."""
    text = io.StringIO()
    told = any(record.reading for record in manifest.records)
    columns = (*COLUMNS, _READING) if told else COLUMNS
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for record in manifest.records:
        writer.writerow(
            {"category": manifest.category, **_values(record), "mask": record.mask or ""}
        )
    files.write_text(path, text.getvalue())


def read_manifest(path: Path) -> Manifest:
    """Read a manifest written by `write_manifest`.

    Raises:
        DataError: the file is missing or not such a manifest.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return _parse(csv.reader(file, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(
            f"cannot read manifest {path}: {error}; run the prepare stage again"
        ) from error


def _parse(rows: Iterable[list[str]]) -> Manifest:
    header, *body = list(rows) or [[]]
    if tuple(header) not in (COLUMNS, (*COLUMNS, _READING)):
        raise ValueError(f"its columns are {header}, expected {list(COLUMNS)}")
    categories = {row[0] for row in body if row}
    if len(categories) != 1:
        raise ValueError(f"expected one category, it has {sorted(categories)}")
    width = len(header)
    records = tuple(_record(number, row, width) for number, row in enumerate(body, start=1))
    if len({record.path for record in records}) < len(records):
        raise ValueError("a path occurs twice")
    return Manifest(categories.pop(), records)


def _record(number: int, row: list[str], columns: int) -> Record:
    if len(row) != columns:
        raise ValueError(f"row {number} has {len(row)} fields, expected {columns}")
    _, path, sha256, width, height, label, defect, mask, split, *rest = row
    (reading,) = rest or ("",)
    parse_reading(reading)
    if split not in SPLITS:
        raise ValueError(f"row {number}: split is {split!r}, allowed are {', '.join(SPLITS)}")
    if not (width.isdecimal() and height.isdecimal()):
        raise ValueError(f"row {number}: the size {width!r} x {height!r} is not in pixels")
    if label not in ("0", "1"):
        raise ValueError(f"row {number}: label is {label!r}, allowed are 0 and 1")
    size = int(width), int(height)
    return Record(path, sha256, *size, int(label), defect, mask or None, split, reading)


def record_image(record: Record, root: Path) -> np.ndarray:
    """Return an image as detectors see it, uint8 [H, W, 3]: what is ignored is painted over.

    Raises:
        DataError: a file is missing or damaged.
    """
    image = read_image(root / record.path, record.how(), max_pixels=None)
    region = record.region(root)
    return image if region is None else region.painted(image)


def record_mask(record: Record, root: Path) -> np.ndarray | None:
    """Return an anomalous image's mask at its own size, bool [H, W]; None where nothing is marked.

    An empty mask of an anomalous image tells as little of where its defect is as none. What is
    ignored is not marked.
    """
    mask = given_mask(record, root)
    region = record.region(root)
    if mask is None or region is None:
        return mask
    counted = mask & ~region.at(*mask.shape)
    return counted if counted.any() else None


def given_mask(record: Record, root: Path) -> np.ndarray | None:
    """Return the mask as `record_mask` does, with what is ignored."""
    if record.mask is None:
        return None
    shape = (record.height, record.width)
    mask = read_given_mask(root / record.mask, shape, record.how()).marked
    return mask if mask.any() else None


def region_of(records: Iterable[Record], root: Path) -> RegionOfInterest | None:
    """Return which pixels of all of a category's images count, None for all.

    Raises:
        DataError: not all have the same ones, or the mask is missing or has changed.
    """
    named = {parse_ignored(record.reading) for record in records}
    if len(named) > 1:
        raise DataError(
            f"images of one category ignore different pixels ({' | '.join(map(str, named))}): run "
            "the prepare stage again"
        )
    return read_region(named.pop(), root) if named else None


def entries(folder: Path) -> list[Path]:
    """Return what is in a folder, sorted, without hidden names; nothing where there is no folder.

    Raises:
        DataError: the folder cannot be listed.
    """
    if not folder.is_dir():
        return []
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"cannot list {folder}: {error.strerror}; check rights") from error


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder, as `entries`."""
    return [path for path in entries(folder) if path.is_dir()]
