"""Grey images with white marks, their records, and scores of hand-made anomaly maps."""

from pathlib import Path

import numpy as np
from builders import save
from numpy.typing import ArrayLike

from clflow.data.records import Record
from clflow.detectors.protocol import Scores
from clflow.pipeline.measure import CategoryScores

SIDE = 8


def square(left: int = 2) -> np.ndarray:
    """Return a mask [SIDE, SIDE] with a square of 2 x 2 pixels."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[3:5, left : left + 2] = 255
    return mask


def record(
    root: Path,
    name: str,
    label: int,
    mask: np.ndarray | None = None,
    size: tuple[int, int] = (SIDE, SIDE),
) -> Record:
    """Write an image, grey but for white marks, and its mask, if any; return its record.

    `size` (height, width) is for an image without a mask.
    """
    height, width = size if mask is None else mask.shape
    pixels = np.full((height, width, 3), 90, np.uint8)
    if mask is not None:
        pixels[mask > 0] = 255
        save(root / "masks" / f"{name}.png", mask)
    save(root / f"{name}.png", pixels)
    defect, place = ("crack" if label else "good"), None if mask is None else f"masks/{name}.png"
    return Record(f"{name}.png", "", width, height, label, defect, place, "test")


def scored(
    maps: ArrayLike,
    validation: ArrayLike = (0.0, 0.1, 0.2),
    synthetic: ArrayLike = (0.9, 1.0),
) -> CategoryScores:
    """Return scores of which an image's is its map's maximum, as is the peak of a held-out one."""
    stack = np.array(maps, np.float32)
    peaks, held_out = stack.max(axis=(1, 2)), np.array(validation, np.float32)
    return CategoryScores(
        Scores(peaks, stack), peaks, held_out, held_out, np.array(synthetic, np.float32)
    )


def two_good_two_bad(root: Path) -> tuple[Record, ...]:
    """Write two good images and two with a marked square, the last one further right."""
    return (
        record(root, "a", 0),
        record(root, "b", 0),
        record(root, "c", 1, square()),
        record(root, "d", 1, square(left=5)),
    )


PERFECT = (np.zeros((SIDE, SIDE)), np.zeros((SIDE, SIDE)), square() / 255, square(left=5) / 255)
