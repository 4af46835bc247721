"""Bottles drawn by code, 24 good ones and 8 test images at 128 pixels, to be made strange."""

import io
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 128
Pixels = NDArray[np.uint8]


@lru_cache
def bottle(seed: int) -> Pixels:
    """Return the opening of a bottle seen from above, [128, 128, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2 - rng.uniform(-4, 4, (2, 1, 1))
    radius = np.hypot(x, y)
    turn = np.arctan2(y, x) + rng.uniform(0, 6)
    glass = 60 + 25 * np.cos(radius / rng.uniform(3, 5)) + 20 * np.cos(3 * turn)
    grey = np.where(radius < 50, glass, 190 - 0.3 * radius)
    noise = cv2.GaussianBlur(rng.normal(0, 30, (SIDE, SIDE)), (0, 0), 2)
    colours = np.stack([grey * 0.9, grey, grey * 0.7], axis=2) + noise[..., None]
    return np.clip(colours + rng.normal(0, 3, colours.shape), 0, 255).astype(np.uint8)


@lru_cache
def scratched(seed: int) -> tuple[Pixels, Pixels]:
    """Return a bottle with a scratch and the mask of it, 0 and 255."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    start, end = rng.integers(30, 98, (2, 2))
    cv2.line(mask, start.tolist(), end.tolist(), 255, 7)
    cv2.circle(mask, start.tolist(), 9, 255, -1)
    image = bottle(seed).copy()
    image[mask > 0] = 240 - image[mask > 0] // 8
    return image, mask


def encoded(pixels: NDArray[Any], suffix: str = ".png", **given: Any) -> bytes:
    """Return an image file of Pillow's; `orientation` is the EXIF one."""
    orientation = given.pop("orientation", None)
    if orientation is not None:
        given["exif"] = Image.Exif()
        given["exif"][274] = orientation
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, Image.registered_extensions()[suffix.lower()], **given)
    return file.getvalue()


def put(path: Path, pixels: NDArray[Any], **given: Any) -> Path:
    """Write pixels in the format of the suffix, and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(pixels, path.suffix, **given))
    return path


def bottles(root: Path, name: str = "bottle", good: int = 24, tested: int = 4) -> Path:
    """Write `train/good`, `test/good`, `test/scratch` and its masks, and return the folder."""
    folder = root / name
    for index in range(good):
        put(folder / f"train/good/{index:03d}.png", bottle(index))
    for index in range(tested):
        put(folder / f"test/good/{index:03d}.png", bottle(100 + index))
        image, mask = scratched(200 + index)
        put(folder / f"test/scratch/{index:03d}.png", image)
        put(folder / f"ground_truth/scratch/{index:03d}_mask.png", mask)
    return folder


def flat_bottles(root: Path, name: str = "bottle") -> Path:
    """Write the same images without a split: `good/` and `scratch/`; and return the folder."""
    folder = root / name
    for index in range(28):
        put(folder / f"good/{index:03d}.png", bottle(index))
    for index in range(4):
        put(folder / f"scratch/{index:03d}.png", scratched(200 + index)[0])
    return folder


def masks_of(folder: Path) -> list[Path]:
    """Return the masks of a category."""
    return sorted((folder / "ground_truth/scratch").iterdir())


def change(paths: list[Path], make: Callable[[Pixels], NDArray[Any]], **given: Any) -> None:
    """Write images anew; with `suffix` in a format of its own, in place of the old files."""
    suffix = given.pop("suffix", None)
    for path in paths:
        pixels = make(np.asarray(Image.open(path)))
        path.unlink()
        put(path.with_suffix(suffix) if suffix else path, pixels, **given)
