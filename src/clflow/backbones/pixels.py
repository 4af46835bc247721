"""All images of a source in memory, at one size."""

import torch
from torch import Tensor

from clflow.data.images import resize_image
from clflow.data.source import ImageSource
from clflow.progress import track


def read_pixels(images: ImageSource, size: int, label: str) -> Tensor:
    """Return all images, uint8 [N, 3, size, size], channels last in memory."""
    pixels = torch.empty((len(images), size, size, 3), dtype=torch.uint8)
    for index in track(range(len(images)), label, len(images)):
        pixels[index] = torch.from_numpy(resize_image(images[index], size, size))
    return pixels.permute(0, 3, 1, 2)
