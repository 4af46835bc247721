"""Tiny data sets for tests: random textures, a bright square as the defect."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SIZE = (16, 16)
DEFECTS = {"crack": 3}


def texture(
    rng: np.random.Generator, size: tuple[int, int] = SIZE, channels: int = 3
) -> NDArray[np.uint8]:
    """Return a random image, [H, W] for one channel, otherwise [H, W, channels]."""
    shape = size if channels == 1 else (*size, channels)
    return rng.integers(60, 120, shape, dtype=np.uint8)


def defect_mask(rng: np.random.Generator, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """Return a mask [H, W] of 0 and 255 with a square a quarter as wide as the image."""
    side = max(1, min(size) // 4)
    top, left = (int(rng.integers(0, length - side + 1)) for length in size)
    mask = np.zeros(size, np.uint8)
    mask[top : top + side, left : left + side] = 255
    return mask


def save(path: Path, pixels: NDArray[Any]) -> Path:
    """Write RGB(A) or grey pixels in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}
    stored = pixels if pixels.ndim == 2 else pixels[..., order[pixels.shape[2]]]
    path.write_bytes(cv2.imencode(path.suffix, np.ascontiguousarray(stored))[1].tobytes())
    return path


def save_good(
    folder: Path,
    count: int,
    rng: np.random.Generator,
    size: tuple[int, int] = SIZE,
    suffix: str = ".png",
) -> list[Path]:
    """Write good images 000, 001, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    return [save(folder / f"{index:03d}{suffix}", texture(rng, size)) for index in range(count)]


def save_defective(
    folder: Path,
    count: int,
    rng: np.random.Generator,
    size: tuple[int, int] = SIZE,
    suffix: str = ".png",
    mask_folder: Path | None = None,
    mask_ending: str = "_mask.png",
) -> list[Path]:
    """Write defective images 000, 001, ... and their masks, unless `mask_folder` is None."""
    paths = []
    for index in range(count):
        mask, image = defect_mask(rng, size), texture(rng, size)
        image[mask > 0] = 250
        paths.append(save(folder / f"{index:03d}{suffix}", image))
        if mask_folder is not None:
            save(mask_folder / f"{index:03d}{mask_ending}", mask)
    return paths


def mvtec_category(
    root: Path,
    name: str = "widget",
    *,
    train: int = 20,
    good: int = 3,
    defects: Mapping[str, int] = DEFECTS,
    size: tuple[int, int] = SIZE,
    masks: bool = True,
    seed: int = 0,
) -> Path:
    """Write a category laid out like MVTec AD and return its folder."""
    rng, folder = np.random.default_rng(seed), root / name
    save_good(folder / "train/good", train, rng, size)
    save_good(folder / "test/good", good, rng, size)
    for defect, count in defects.items():
        mask_folder = folder / "ground_truth" / defect if masks else None
        save_defective(folder / "test" / defect, count, rng, size, mask_folder=mask_folder)
    return folder


def btad_category(
    root: Path, name: str = "01", *, train: int = 20, suffix: str = ".png", seed: int = 0
) -> Path:
    """Write a category laid out like BTAD and return its folder."""
    rng, folder = np.random.default_rng(seed), root / name
    save_good(folder / "train/ok", train, rng, suffix=".bmp")
    save_good(folder / "test/ok", 3, rng, suffix=".bmp")
    masks = folder / "ground_truth/ko"
    save_defective(folder / "test/ko", 3, rng, suffix=".bmp", mask_folder=masks, mask_ending=suffix)
    return folder


def flat_category(
    root: Path,
    name: str = "gear",
    *,
    good: int = 30,
    defects: Mapping[str, int] = DEFECTS,
    masks: str | None = "ground_truth/{}",
    mask_ending: str = ".png",
    seed: int = 0,
) -> Path:
    """Write `good` and defect folders without a split; `masks` is the pattern of mask folders."""
    rng, folder = np.random.default_rng(seed), root / name
    save_good(folder / "good", good, rng)
    for defect, count in defects.items():
        mask_folder = folder / masks.format(defect) if masks else None
        save_defective(
            folder / defect, count, rng, mask_folder=mask_folder, mask_ending=mask_ending
        )
    return folder


def visa_dataset(root: Path, name: str = "candle", *, train: int = 20, seed: int = 0) -> Path:
    """Write a data set with the one-class split table of VisA and return its root."""
    rng, data = np.random.default_rng(seed), root / name / "Data"
    good = save_good(data / "Images/Normal", train + 3, rng)
    bad = save_defective(
        data / "Images/Anomaly", 3, rng, mask_folder=data / "Masks/Anomaly", mask_ending=".png"
    )
    rows = [(path, "train" if index < train else "test", "") for index, path in enumerate(good)]
    rows += [(path, "test", f"{name}/Data/Masks/Anomaly/{path.name}") for path in bad]
    table = root / "split_csv/1cls.csv"
    table.parent.mkdir(parents=True)
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("object", "split", "label", "image", "mask"))
        for path, split, mask in rows:
            label = "anomaly" if mask else "normal"
            writer.writerow((name, split, label, path.relative_to(root).as_posix(), mask))
    return root


def listed_category(root: Path, name: str = "gear", *, good: int = 24, seed: int = 0) -> Path:
    """Write good images and two defective ones, listed without a split, and return the folder."""
    rng, folder = np.random.default_rng(seed), root / name
    rows = [(path.name, "0", "") for path in save_good(folder, good, rng)]
    for index, mask in enumerate(("masks/a.png", "")):
        rows.append((save(folder / f"bad{index}.png", texture(rng)).name, "1", mask))
    save(folder / "masks/a.png", defect_mask(rng))
    with (folder / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "label", "mask"), *rows])
    return folder
