"""A contact sheet of image alignment: some images and their mean, before and after."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from clflow.alignment.posed import AligningDetector, Alignment
from clflow.canvas import grid, image_cell
from clflow.data.images import ArrayImages, ImageSource, write_png
from clflow.features.store import read_pixels

SHEET = "alignment.png"

# more would cost time and show nothing new
_SHOWN = 8
# side at which the shown images are aligned, and drawn
_SIDE, _CELL = 256, 160
_GAP = 4


def write_sheet(detector: object, images: ImageSource, folder: Path) -> None:
    """Write alignment.png of a fitted detector that has an alignment; for any other, nothing.

    Args:
        images: good images; eight of them, evenly spaced, are looked at.

    Raises:
        StorageError: the file cannot be written.
    """
    alignment = detector.alignment_ if isinstance(detector, AligningDetector) else None
    if alignment is None or not len(images):
        return
    places = np.linspace(0, len(images) - 1, min(_SHOWN, len(images))).round().astype(int)
    some = ArrayImages([images[int(place)] for place in places])
    pixels = read_pixels(some, _SIDE, "images to show aligned")
    write_png(folder / SHEET, alignment_sheet(pixels, alignment))


@torch.no_grad()
def alignment_sheet(pixels: Tensor, alignment: Alignment) -> np.ndarray:
    """Return the sheet, uint8 [H, W, 3]: images as they came above, aligned ones below.

    The first column is the mean of the others; where alignment is off, it shows what was refused.

    Args:
        pixels: images, uint8 [N, 3, S, S].
    """
    aligned = alignment.warped(pixels, alignment.proposed(pixels))
    rows = [[_mean(images), *map(_cell, images)] for images in (pixels, aligned)]
    return grid(rows, _GAP)


def _mean(images: Tensor) -> np.ndarray:
    return _cell(images.double().mean(0).round().byte())


def _cell(image: Tensor) -> np.ndarray:
    return image_cell(image.permute(1, 2, 0).contiguous().numpy(), _CELL)
