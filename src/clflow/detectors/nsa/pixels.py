"""A category's images in memory: decoded and resized once."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from clflow.data.images import resize_image
from clflow.data.source import ImageSource
from clflow.progress import track

_READERS = 2


def load_pixels(images: ImageSource, side: int, label: str) -> NDArray[np.uint8]:
    """Return all images squeezed to squares, uint8 [N, side, side, 3]."""
    pixels = np.empty((len(images), side, side, 3), np.uint8)
    with ThreadPoolExecutor(_READERS) as pool:
        read = pool.map(lambda index: resize_image(images[index], side, side), range(len(images)))
        for index, image in enumerate(track(read, label, len(images))):
            pixels[index] = image
    return pixels
