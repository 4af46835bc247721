"""A contact sheet of a bank: a good image, the anomaly made on it, its mask, label and boxes."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clflow.canvas import (
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
from clflow.data.images import read_image, read_mask
from clflow.errors import DataError
from clflow.synthesis.bank import rebuild
from clflow.synthesis.drawing import read_resized
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


def even_choice(groups: Sequence[str], count: int) -> list[int]:
    """Return the indices of at most `count` items, given the group of each.

    Every group gets as many as the others while it has them, from all over its length; they are
    ordered by group, then index.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    quotas = _quotas({name: len(found) for name, found in members.items()}, count)
    return [index for name in sorted(members) for index in _spread(members[name], quotas[name])]


def _quotas(sizes: Mapping[str, int], count: int) -> dict[str, int]:
    """Return how many of each group: small groups first, what they lack goes to the larger ones."""
    quotas, left = {}, min(count, sum(sizes.values()))
    ascending = sorted(sizes.items(), key=lambda item: (item[1], item[0]))
    for place, (name, size) in enumerate(ascending):
        quotas[name] = min(size, left // (len(sizes) - place))
        left -= quotas[name]
    return quotas


def _spread(items: Sequence[int], count: int) -> list[int]:
    """Return the middle item of each of `count` equal parts."""
    return [items[(2 * part + 1) * len(items) // (2 * count)] for part in range(count)]


def good_twin(row: BankRow, root: Path) -> NDArray[np.uint8]:
    """Return the image before the anomaly, at the bank's size [H, W, 3]; `root` is the study's.

    Raises:
        DataError: it is missing, damaged or has changed.
    """
    good = row.destination
    return read_resized(root, good.path, good.sha256, *row.shape, good.reading)


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
