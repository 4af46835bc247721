"""Random anomaly maps with masks, and the same maps on another scale."""

import numpy as np
from numpy.typing import NDArray

Masked = tuple[NDArray[np.float32], NDArray[np.bool_]]


def random_images(seed: int, levels: int, count: int = 4) -> list[Masked]:
    """Maps of different sizes with `levels` distinct scores, speckled masks, the first one good."""
    rng = np.random.default_rng(seed)
    images = []
    for index in range(count):
        size = tuple(rng.integers(3, 9, size=2))
        mask = rng.random(size) < 0.3 if index else np.zeros(size, dtype=bool)
        scores = rng.integers(0, levels, size=size) + mask * rng.integers(0, 3)
        images.append(((scores / 4 - 1).astype(np.float32), mask))
    images[1][1][0, :2] = True
    return images


def ranked(images: list[Masked]) -> list[Masked]:
    """Replace every score by its rank among all."""
    known = np.unique(np.concatenate([score_map.ravel() for score_map, _ in images]))
    return [(np.searchsorted(known, m).astype(np.float32), mask) for m, mask in images]


def heavy_tailed(images: list[Masked]) -> list[Masked]:
    """Spread the scores over 30 decades by an increasing function, none equal that were not."""
    ranks, total = ranked(images), sum(score_map.size for score_map, _ in images)
    return [(np.float32(1e30) * ((m + 1) / np.float32(total)) ** 9, mask) for m, mask in ranks]
