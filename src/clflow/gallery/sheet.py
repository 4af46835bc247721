"""A contact sheet of a bank: a good image, the anomaly made on it, its mask, label and boxes."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clflow.data.images import read_image, read_mask
from clflow.errors import DataError
from clflow.gallery.canvas import (
    CELL,
    GAP,
    Picture,
    below,
    beside,
    boxed,
    framed,
    heat_bar,
    heat_cell,
    image_cell,
    mask_cell,
    page,
    write,
)
from clflow.gallery.choice import even_choice
from clflow.gallery.twins import good_twin
from clflow.synthesis.bank import rebuild
from clflow.synthesis.rows import BankRow

ROWS = 12

_CAPTION = 144
_COLUMNS = ("good", "synthetic", "mask", "label", "boxes")


@dataclass(frozen=True, eq=False)
class _Shown:
    """A row, its saved image and mask, the label that no file keeps, and what it is scaled by."""

    row: BankRow
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    label: NDArray[np.float32]
    top: float = 1.0


def draw_sheet(rows: Sequence[BankRow], root: Path, title: str, count: int = ROWS) -> Picture:
    """Return the sheet of at most `count` rows, even over the bank and over its generators.

    Colours of the labels run from 0 to 1, or to a generator's highest label where one exceeds 1.

    Raises:
        DataError: there is no row, or a file is missing or has changed.
    """
    if not rows:
        raise DataError(f"{title} holds no anomaly: there is nothing to show")
    chosen = [rows[index] for index in even_choice([row.generator for row in rows], count)]
    shown = _scaled([_load(row, root) for row in chosen])
    heading = write(
        [f"{title}: {len(rows)} synthetic anomalies, {len(shown)} shown"], _sheet_width()
    )
    lines = [_line(one, root) for one in shown]
    return framed(below([heading, _header(), *lines]))


def _load(row: BankRow, root: Path) -> _Shown:
    label = rebuild(row, root).label
    return _Shown(row, read_image(row.image), read_mask(row.mask, row.shape), label)


def _scaled(shown: Sequence[_Shown]) -> list[_Shown]:
    tops: dict[tuple[str, str], float] = defaultdict(lambda: 1.0)
    for one in shown:
        kind = (one.row.generator, one.row.label)
        tops[kind] = max(tops[kind], float(one.label.max()))
    return [replace(one, top=tops[one.row.generator, one.row.label]) for one in shown]


def _line(shown: _Shown, root: Path) -> Picture:
    row = shown.row
    synthetic = image_cell(shown.image)
    cells = [
        image_cell(good_twin(row, root)),
        synthetic,
        mask_cell(shown.mask),
        heat_cell(shown.label, shown.top),
        boxed(synthetic, row.boxes, row.shape),
    ]
    return beside([write(_caption(shown), _CAPTION), *cells])


def _caption(shown: _Shown) -> list[str]:
    row = shown.row
    regions = "region" if len(row.boxes) == 1 else "regions"
    return [
        f"index {row.index}",
        row.generator,
        f"area {100 * shown.mask.mean():.1f} %",
        f"{len(row.boxes)} {regions}",
        f"label 0 to {shown.top:.3g}",
    ]


def _header() -> Picture:
    names = [write([name], CELL) for name in _COLUMNS]
    names[_COLUMNS.index("label")] = below([write(["label, low to high"], CELL), heat_bar()], 0)
    return beside([page(1, _CAPTION), *names])


def _sheet_width() -> int:
    return _CAPTION + len(_COLUMNS) * (CELL + GAP)
