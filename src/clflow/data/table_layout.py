"""Images that a table lists: one `list.csv` in the folder of each category."""

import csv
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clflow.data.names import is_good
from clflow.data.records import ANOMALY, ANY, GOOD, TEST, TRAIN, Found, subfolders
from clflow.errors import DataError

TABLE = "list.csv"
REQUIRED, OPTIONAL = ("image", "label"), ("mask", "split")

_ANOMALOUS_LABELS = frozenset({"anomalous", "1"})
# a defect names pictures, so it must be able to name a file
_DEFECT = re.compile(r"(?!\.)[\w .()+-]*[^\W\d][\w .()+-]*")
_PROBLEMS_SHOWN = 10


@dataclass(frozen=True)
class ListedImages:
    """Own parts listed in `<category>/list.csv`, by paths relative to that folder.

    The root is one category where it holds the table itself. Without a column `split`, good images
    are split by the draw and all others are test images.
    """

    expects: str = (
        f"<category>/{TABLE} with the columns {', '.join(REQUIRED)} "
        f"and, if wanted, {', '.join(OPTIONAL)}"
    )
    masks: str = "the column mask of the table"

    def matches(self, root: Path) -> bool:
        """Return whether there is any table."""
        return bool(self.categories(root))

    def categories(self, root: Path) -> list[str]:
        """Return the root's own name if it holds a table, otherwise the sub-folders that do."""
        if (root / TABLE).is_file():
            return [root.resolve().name]
        return [folder.name for folder in subfolders(root) if (folder / TABLE).is_file()]

    def folder(self, root: Path, category: str) -> Path:
        """Return the root if it holds a table, otherwise its sub-folder."""
        return root if (root / TABLE).is_file() else root / category

    def images(self, root: Path, category: str) -> list[Found]:
        """Return the images in the order of the table."""
        return read_table(self.folder(root, category) / TABLE)


def read_table(path: Path) -> list[Found]:
    """Return the images that a table lists, in its order.

    Raises:
        DataError: it is no such table, or all that is wrong with its rows, each with its line.
    """
    header, rows = _read(path)
    _check_header(path, header)
    lines: dict[Path, int] = {}
    found, problems = [], []
    for line, cells in rows:
        try:
            image = _image(path.parent, _row(header, cells))
            _check_once(image.path, line, lines)
            found.append(image)
        except DataError as error:
            problems.append(f"line {line}: {error}")
    if problems:
        raise DataError(_summary(path, problems))
    if not found:
        raise DataError(f"{path} lists no image: add rows below its header")
    return found


def _summary(path: Path, problems: list[str]) -> str:
    shown = [f"  - {problem}" for problem in problems[:_PROBLEMS_SHOWN]]
    if (rest := len(problems) - _PROBLEMS_SHOWN) > 0:
        shown.append(f"  - and {rest} more")
    return "\n".join([f"{path} has {len(problems)} problem(s):", *shown])


def _read(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the names of the columns, and the cells of each row with the number of its line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            return header, [(reader.line_num, cells) for cells in reader if cells]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"cannot read {path}: {error}; save it as CSV in UTF-8") from error


def _check_header(path: Path, header: list[str]) -> None:
    if not header:
        raise DataError(f"{path} is empty: its first line must name the columns")
    allowed = (*REQUIRED, *OPTIONAL)
    if missing := [name for name in REQUIRED if name not in header]:
        raise DataError(
            f"{path}, line 1: lacks the column {' and '.join(missing)}, it has {header}; "
            f"needed are {', '.join(REQUIRED)}, separated by commas"
        )
    # a slip in an optional column would move test images into training without a word
    wrong = [name for name in header if name not in allowed or header.count(name) > 1]
    if wrong:
        raise DataError(
            f"{path}, line 1: column {wrong[0]!r} is unknown or given twice: "
            f"allowed are {', '.join(allowed)}, each once; rename or remove it"
        )


def _row(header: list[str], cells: list[str]) -> dict[str, str]:
    if len(cells) != len(header):
        raise DataError(
            f"{len(cells)} fields below a header of {len(header)}; "
            'put names with commas in "quotes"'
        )
    return {name: cell.strip() for name, cell in zip(header, cells, strict=True)}


def _check_once(image: Path, line: int, lines: dict[Path, int]) -> None:
    if (first := lines.setdefault(image, line)) != line:
        raise DataError(f"image {image.name!r} is in line {first} already: remove one of them")


def _image(folder: Path, row: Mapping[str, str]) -> Found:
    defect = _defect(row["label"])
    part = _part(row.get("split"), defect)
    path = _file(folder, "image", row["image"])
    mask = _file(folder, "mask", row["mask"]) if row.get("mask") else None
    if mask is not None and defect == GOOD:
        raise DataError(f"good image {row['image']!r} has a mask; leave the mask empty")
    if mask == path:
        raise DataError(f"image {row['image']!r} is its own mask; name the mask or leave it empty")
    return Found(path, mask, defect, int(defect != GOOD), part)


def _defect(label: str) -> str:
    if label == "0" or is_good(label):
        return GOOD
    if label.casefold() in _ANOMALOUS_LABELS:
        return ANOMALY
    if not _DEFECT.fullmatch(label):
        raise DataError(
            f"label {label!r} is not allowed: give good, normal or 0, anomalous or 1, "
            "or the name of a defect, made of letters, digits, spaces and _ . ( ) + -"
        )
    return label


def _part(split: str | None, defect: str) -> str:
    if split is None:
        return ANY if defect == GOOD else TEST
    if split not in (TRAIN, TEST):
        raise DataError(
            f"unknown split {split!r}: allowed are {TRAIN} and {TEST}; "
            "held-out images are drawn from train, and without the column all are drawn"
        )
    if split == TRAIN and defect != GOOD:
        raise DataError(
            f"an image labelled {defect!r} is in train: only good images are, move it to test"
        )
    return split


def _file(folder: Path, column: str, name: str) -> Path:
    path = _below(folder, column, name)
    if not os.path.isfile(path):  # noqa: PTH113  Path.is_file raises on names that are too long
        slashes = name.replace("\\", "/")
        if slashes != name and os.path.isfile(folder / slashes):  # noqa: PTH113
            raise DataError(f"{column} {name!r} is written with \\, use / between folders")
        raise DataError(f"no file for {column} {name!r} in {folder}: restore it or remove the row")
    return path


def _below(folder: Path, column: str, name: str) -> Path:
    """Return `folder` / `name`; links may lead elsewhere, `..` and absolute paths may not."""
    for base in (folder.absolute(), folder.resolve()):
        base_name = os.path.normpath(base)
        path = Path(os.path.normpath(base / name))
        if path.is_relative_to(base_name):
            return folder / path.relative_to(base_name)
    raise DataError(
        f"{column} {name!r} leads out of {folder}: move or link the file into that folder"
    )
