"""A contact sheet of image alignment: the mean image and some images, before and after."""

import numpy as np
import torch
from torch import Tensor

from clflow.data.images import resize_image
from clflow.detectors.fyd.image_alignment import ImageAlignment

_CELL = 160
_GAP = 4
_SHOWN = 7
# not white, so that an image of white background ends visibly
_PAPER = 236


@torch.no_grad()
def alignment_sheet(pixels: Tensor, alignment: ImageAlignment) -> np.ndarray:
    """Return the sheet, uint8 [H, W, 3]: images as they came above, aligned ones below.

    The first column is the mean of all images; where alignment is off, it shows what was refused.

    Args:
        pixels: good images, uint8 [N, 3, S, S].
    """
    aligned = alignment.warped(pixels, alignment.proposed(pixels))
    chosen = np.linspace(0, len(pixels) - 1, min(_SHOWN, len(pixels))).round().astype(int)
    rows = [[_mean(images), *(_cell(images[i]) for i in chosen)] for images in (pixels, aligned)]
    return _below([_beside(row) for row in rows])


def _mean(images: Tensor) -> np.ndarray:
    # a sum of whole numbers: no copy of all images in floating point
    return _cell((images.sum(0, dtype=torch.int64) / len(images)).round().byte())


def _cell(image: Tensor) -> np.ndarray:
    return resize_image(image.permute(1, 2, 0).contiguous().numpy(), _CELL, _CELL)


def _beside(cells: list[np.ndarray]) -> np.ndarray:
    gap = ((0, 0), (0, _GAP), (0, 0))
    return np.concatenate([np.pad(cell, gap, constant_values=_PAPER) for cell in cells], 1)


def _below(rows: list[np.ndarray]) -> np.ndarray:
    gap = ((0, _GAP), (0, 0), (0, 0))
    return np.concatenate([np.pad(row, gap, constant_values=_PAPER) for row in rows], 0)
