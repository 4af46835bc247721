"""An anomaly made again: whether it is the one that the bank holds, bit for bit; its files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clflow.data.images import read_stored, to_rgb8, write_png
from clflow.files import atomic_path
from clflow.synthesis.rows import BankRow
from clflow.synthesis.synthetic import Synthetic


def save(synthetic: Synthetic, folder: Path) -> None:
    """Write image.png, mask.png and label.npy into a folder, each whole or not.

    Raises:
        StorageError: a file cannot be written.
    """
    write_png(folder / "image.png", synthetic.image)
    write_png(folder / "mask.png", synthetic.mask)
    with atomic_path(folder / "label.npy") as partial, partial.open("wb") as file:
        np.save(file, synthetic.label)


def differences(row: BankRow, synthetic: Synthetic) -> list[str]:
    """Return what differs between a row with its files and the anomaly made again, in words.

    Raises:
        DataError: the image or the mask of the row cannot be read.
    """
    saved_mask = read_stored(row.mask)
    return [
        *_pixels("image", to_rgb8(read_stored(row.image)), synthetic.image),
        *_pixels("mask", saved_mask, synthetic.mask.astype(np.uint8) * np.uint8(255)),
        *_values("boxes", row.boxes, synthetic.boxes),
        *_values("patches", row.patches, synthetic.patches),
    ]


def _pixels(name: str, saved: NDArray[Any], again: NDArray[np.uint8]) -> Iterator[str]:
    if saved.shape != again.shape:
        yield f"{name}: saved as {list(saved.shape)}, made again {list(again.shape)}"
        return
    gaps = np.abs(saved.astype(np.int32) - again)
    if gaps.any():
        count = int(gaps.reshape(*gaps.shape[:2], -1).any(axis=2).sum())
        yield f"{name}: {count} pixel(s) differ by up to {gaps.max()} grey levels"


def _values(name: str, saved: object, again: object) -> Iterator[str]:
    if saved != again:
        yield f"{name}: saved as {saved}, made again {again}"
