"""A prepared category of textured images, without a defect, to make banks of."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from clflow.data.images import write_png
from clflow.data.records import Manifest, Record
from clflow.files import sha256_of


def study(root: Path, train: int = 5, validation: int = 3) -> Manifest:
    """Write images of smoothed noise, 60 x 52 px, below `root`."""
    rng, records = np.random.default_rng(0), []
    for number in range(train + validation):
        noise = ndimage.gaussian_filter(rng.normal(0, 1, (60, 52, 3)), (2, 2, 0))
        image = (120 + 30 * noise / noise.std()).clip(0, 255).astype(np.uint8)
        records.append(saved(root, number, image, "train" if number < train else "validation"))
    return Manifest("cloth", tuple(records))


def saved(root: Path, number: int, image: NDArray[np.uint8], split: str) -> Record:
    """Write an image and return its record."""
    path = root / "images" / f"{number:03d}.png"
    write_png(path, image)
    height, width = image.shape[:2]
    relative = path.relative_to(root).as_posix()
    return Record(relative, sha256_of(path), width, height, 0, "good", None, split)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file below a folder."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
