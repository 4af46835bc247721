"""One row of a bank's manifest: enough to make its synthetic anomaly again, bit for bit."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from clflow.data.images import Box
from clflow.errors import DataError

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class Origin:
    """A normal image: POSIX path relative to the study root, content, place in its split.

    `reading` says how it is read and which pixels do not count, nothing where that is as usual.
    """

    path: str
    sha256: str
    index: int
    reading: str = ""


@dataclass(frozen=True)
class BankRow:
    """One synthetic anomaly of a bank.

    image and mask are relative to the split's folder in the file, and whole once read; settings
    are the generator's, all of them; attempt counts from 0, and `seed` is that attempt's.
    """

    index: int
    image: Path
    mask: Path
    boxes: tuple[Box, ...]
    generator: str
    settings: Mapping[str, Any]
    label: str
    height: int
    width: int
    seed: int
    attempt: int
    source: Origin
    destination: Origin
    patches: tuple[dict[str, list[int]], ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of its image in pixels."""
        return self.height, self.width


def to_line(row: BankRow) -> str:
    """Return a row as one line of JSON with sorted keys."""
    values = asdict(row) | {"image": row.image.as_posix(), "mask": row.mask.as_posix()}
    for origin in (values["source"], values["destination"]):
        if not origin["reading"]:
            del origin["reading"]
    return json.dumps(values, sort_keys=True, allow_nan=False)


def read_rows(folder: Path) -> tuple[BankRow, ...]:
    """Read the manifest of a bank's split.

    Raises:
        DataError: it is missing or damaged.
    """
    path = folder / MANIFEST
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}; run the synthesize stage again") from error
    return tuple(_located(line, path, number) for number, line in enumerate(lines, start=1))


def _located(line: str, path: Path, number: int) -> BankRow:
    try:
        row = _from_line(line)
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{path}, line {number} is no row of a bank ({error!r}); run the synthesize stage again"
        ) from error
    return replace(row, image=path.parent / row.image, mask=path.parent / row.mask)


def _from_line(line: str) -> BankRow:
    values = json.loads(line)
    return BankRow(
        **values
        | {
            "image": Path(values["image"]),
            "mask": Path(values["mask"]),
            "boxes": tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in values["boxes"]),
            "source": Origin(**values["source"]),
            "destination": Origin(**values["destination"]),
            "patches": tuple(values["patches"]),
        }
    )
