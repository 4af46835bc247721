"""All images of a source in memory, at one size."""

import numpy as np
import torch
from torch import Tensor

from clflow.data.images import resize_image
from clflow.data.source import ImageSource
from clflow.progress import track


def read_pixels(images: ImageSource, size: int, label: str) -> Tensor:
    """Return all images, uint8 [N, 3, size, size], in memory."""
    pixels = torch.empty((len(images), 3, size, size), dtype=torch.uint8)
    for index in track(range(len(images)), label, len(images)):
        image = resize_image(images[index], size, size)
        pixels[index] = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    return pixels
