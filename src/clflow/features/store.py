"""Backbone features of many images: computed once, kept by content."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast
from uuid import uuid4

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from clflow.data.images import ImageSource, fitted_size, resize_image
from clflow.errors import DataError
from clflow.features.backbone import Backbone
from clflow.files import digest_of, sha256_of, shared_folder, source_digest
from clflow.progress import say, track

Upsampling = Literal["nearest", "bilinear"]

BATCH_SIZE = 16
_DIGESTS = "digests.json"
CACHE_BYTES = 20 * 2**30
_READ_AHEAD = 8 * BATCH_SIZE
# from here on a value is rounded to infinity
_HALF_LIMIT = 65520.0
# all code that shapes what is cached
_CODE = (
    "data/decoding.py",
    "data/headers.py",
    "data/images.py",
    "data/reading.py",
    "data/region_of_interest.py",
    "features/backbone.py",
    "features/registry.py",
    "features/store.py",
    "features/weights.py",
)
# what is still being written is younger, unless its process was killed
_ABANDONED_SECONDS = 24 * 60 * 60


class FeatureStore:
    """Feature maps of one backbone at one input area.

    Images keep their aspect ratio unless `stretched`; their maps are brought to the sizes of a
    square image's, so that the maps of all images have one size.

    Maps are rounded to half precision (relative error 2^-11) whether they are cached or not, so
    that a score does not depend on the cache. Cached maps are found by the content of the images
    and of the backbone, and by the code that makes them. Several processes may share a cache.
    """

    def __init__(
        self, backbone: Backbone, image_size: int, device: torch.device, stretched: bool = False
    ) -> None:
        self.backbone = backbone.to(device)
        self._lean = self.backbone.lean()
        self.image_size = image_size
        self.stretched = stretched
        self.device = device
        self.fingerprint = backbone.fingerprint()
        self._code = source_digest(*_CODE)

    def features(self, images: ImageSource, label: str, cache: Path | None) -> list[np.ndarray]:
        """Return the maps of each level, float16 [N, C, H, W], memory-mapped when cached."""
        if cache is None:
            return self._fill(np.empty, images, label)
        folder = cache / self._key(images)
        return self._load(folder) or self._store(folder, images, label)

    def _key(self, images: ImageSource) -> str:
        libraries = [cv2.__version__, version("timm"), torch.__version__]
        network = [self.backbone.spec.timm_name, self.fingerprint]
        form = [self.image_size, self.stretched, self.device.type]
        return digest_of([*libraries, self._code, *network, *form, list(images.digests)])[:32]

    def _files(self, folder: Path) -> list[Path]:
        """Return the file of each level, in the order of the levels."""
        return [folder / f"level-{index:02d}.npy" for index in range(len(self.backbone.levels))]

    def _load(self, folder: Path) -> list[np.ndarray] | None:
        """Return the maps of an entry, or None unless it is there and as it was written.

        Maps that are loaded stay readable when another process removes their entry.
        """
        try:
            os.utime(folder)
        except FileNotFoundError:
            return None
        try:
            if _described(self._files(folder)) != json.loads((folder / _DIGESTS).read_bytes()):
                raise ValueError("its files are not those that were written")
            return [np.load(path, mmap_mode="r") for path in self._files(folder)]
        except FileNotFoundError:
            # removed just now by another process
            pass
        except (EOFError, ValueError, OSError) as error:
            say(f"cached features in {folder} are damaged ({error}) and computed again")
        _remove(folder)
        return None

    def _store(self, folder: Path, images: ImageSource, label: str) -> list[np.ndarray]:
        """Compute the maps of an entry into its files, and return them."""
        _evict(folder.parent, CACHE_BYTES)
        with shared_folder(folder) as partial:
            files = iter(self._files(partial))

            def new_file(shape: tuple[int, ...], dtype: type) -> np.ndarray:
                return _reserved(next(files), shape, dtype)

            filled = self._fill(new_file, images, label)
            for level in filled:
                cast(np.memmap, level).flush()
            _seal(partial, self._files(partial))
        for level in filled:
            level.flags.writeable = False
        # another process may evict the entry at once: what was written stays readable
        return self._load(folder) or filled

    def _fill(
        self, new: Callable[[tuple[int, ...], type], np.ndarray], images: ImageSource, label: str
    ) -> list[np.ndarray]:
        filled: list[np.ndarray] = []
        for rows, batch in self._batches(images, label):
            levels = [_half(level, label) for level in self._levels(batch)]
            filled = filled or [
                new((len(images), *level.shape[1:]), np.float16) for level in levels
            ]
            for array, level in zip(filled, levels, strict=True):
                array[rows] = level
        return filled

    def _batches(self, images: ImageSource, label: str) -> Iterator[tuple[list[int], Tensor]]:
        """Yield batches of images of one size, and which they are."""
        waiting: dict[tuple[int, ...], list[tuple[int, np.ndarray]]] = {}
        for index, image in enumerate(track(self._read_all(images), label, len(images))):
            batch = waiting.setdefault(image.shape, [])
            batch.append((index, image))
            if len(batch) == BATCH_SIZE:
                yield _stacked(waiting.pop(image.shape))
        yield from map(_stacked, waiting.values())

    def _read_all(self, images: ImageSource) -> Iterator[np.ndarray]:
        """Yield the images in turn, read ahead where more than a batch are to come."""

        def read(index: int) -> np.ndarray:
            return self._read(images[index])

        if len(images) <= BATCH_SIZE:
            # to start a thread takes longer than to read an image
            yield from map(read, range(len(images)))
            return
        with ThreadPoolExecutor(1) as reader:
            for start in range(0, len(images), _READ_AHEAD):
                yield from reader.map(read, range(start, min(start + _READ_AHEAD, len(images))))

    def _read(self, image: np.ndarray) -> np.ndarray:
        side, (height, width) = self.image_size, image.shape[:2]
        size = (side, side) if self.stretched else fitted_size(height, width, side)
        return resize_image(image, *size)

    def _levels(self, batch: Tensor) -> list[Tensor]:
        levels = self._lean(batch.to(self.device))
        if batch.shape[2] == batch.shape[3]:
            return levels
        return [
            resample(level, size) for level, size in zip(levels, self.square_sizes, strict=True)
        ]

    @cached_property
    def square_sizes(self) -> list[tuple[int, int]]:
        """Height and width of the maps of a square image."""
        blank = torch.zeros(1, 3, self.image_size, self.image_size, device=self.device)
        return [(level.shape[2], level.shape[3]) for level in self.backbone(blank)]


def _reserved(path: Path, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Return a new file as an array, its room on the disk taken at once.

    Without, a disk that fills up later would kill the process as it writes to the mapped file.
    """
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    # macOS has no such call
    if hasattr(os, "posix_fallocate"):
        with path.open("rb+") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _described(files: Sequence[Path]) -> dict[str, list[Any]]:
    """Return size and SHA-256 of each file by its name."""
    return {path.name: [path.stat().st_size, sha256_of(path)] for path in files}


def _seal(folder: Path, files: Sequence[Path]) -> None:
    """Write what an entry's files are beside them, and bring all to the disk."""
    (folder / _DIGESTS).write_text(json.dumps(_described(files)))
    for path in (*files, folder / _DIGESTS):
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def _stacked(batch: list[tuple[int, np.ndarray]]) -> tuple[list[int], Tensor]:
    rows, images = zip(*batch, strict=True)
    return list(rows), torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def _half(level: Tensor, label: str) -> np.ndarray:
    largest = level.abs().max().item()
    # a NaN is not below anything either
    if not largest < _HALF_LIMIT:
        message = (
            f"{label}: features beyond half precision (largest {largest:.3g}); "
            "check the backbone's weights"
        )
        raise DataError(message)
    return level.half().cpu().numpy()


def _evict(cache: Path, limit: int) -> None:
    """Remove the entries longest unused until the rest is below the limit.

    Other processes may add, use and remove entries meanwhile.
    """
    if not cache.is_dir():
        return
    entries = [(*found, path) for path in cache.iterdir() if (found := _age_and_size(path))]
    total = sum(size for _, size, _ in entries)
    for used, size, entry in sorted(entries):
        if total <= limit:
            break
        written = entry.name.startswith(".") and time.time() - used < _ABANDONED_SECONDS
        if not written and _remove(entry):
            total -= size


def _age_and_size(entry: Path) -> tuple[float, int] | None:
    """Return when an entry was used last and its size in bytes, or None if there is none."""
    try:
        used = entry.stat().st_mtime
        with os.scandir(entry) as files:
            return used, sum(file.stat().st_size for file in files)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _remove(entry: Path) -> bool:
    """Remove an entry at once for all who look for it; return whether it is gone."""
    doomed = entry.with_name(f".{uuid4().hex}.removed")
    try:
        entry.rename(doomed)
    except FileNotFoundError:
        return True
    except PermissionError:
        # another user's
        return False
    shutil.rmtree(doomed, ignore_errors=True)
    return True


def read_pixels(images: ImageSource, size: int, label: str) -> Tensor:
    """Return all images, uint8 [N, 3, size, size], channels last in memory."""
    pixels = torch.empty((len(images), size, size, 3), dtype=torch.uint8)
    for index in track(range(len(images)), label, len(images)):
        pixels[index] = torch.from_numpy(resize_image(images[index], size, size))
    return pixels.permute(0, 3, 1, 2)


def as_levels(
    features: Sequence[np.ndarray],
    rows: slice,
    grid: int | None,
    upsampling: Upsampling = "nearest",
) -> list[Tensor]:
    """Return some images' maps as float32, fused on one grid if one is given.

    Finer levels are averaged down, coarser ones repeated or interpolated, channels concatenated.

    Args:
        features: per level float16 [N, C, H, W].
        rows: which images.
        grid: cells per side of the fused map, or None.
        upsampling: how coarser levels are brought to the grid.
    """
    # one memory order: convolutions round differently in another
    levels = [torch.from_numpy(np.array(level[rows], order="C")).float() for level in features]
    if grid is None:
        return levels
    return [torch.cat([resample(level, (grid, grid), upsampling) for level in levels], dim=1)]


def resample(level: Tensor, size: tuple[int, int], upsampling: Upsampling = "bilinear") -> Tensor:
    """Return maps [N, C, H, W] of another size: averaged where it is less, else upsampled."""
    height, width = level.shape[2:]
    grown = (max(height, size[0]), max(width, size[1]))
    if grown != (height, width):
        level = _grown(level, grown, upsampling)
    return level if grown == size else adaptive_avg_pool2d(level, size)


def _grown(level: Tensor, size: tuple[int, int], upsampling: Upsampling) -> Tensor:
    down, across = (new // old for new, old in zip(size, level.shape[2:], strict=True))
    whole = (level.shape[2] * down, level.shape[3] * across) == size
    if upsampling == "nearest" and whole:
        # the same cells as by `interpolate`, several times faster
        cells = level[:, :, :, None, :, None].expand(-1, -1, -1, down, -1, across)
        return cells.flatten(4).flatten(2, 3)
    return interpolate(level, size=size, mode=upsampling)
