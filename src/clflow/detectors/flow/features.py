"""Backbone features of many images: computed once, kept by content."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from clflow.backbones.network import Backbone
from clflow.data.images import resize_image
from clflow.data.source import ImageSource
from clflow.errors import DataError
from clflow.files import atomic_folder, digest_of, source_digest
from clflow.progress import track

BATCH_SIZE = 16
CACHE_BYTES = 20 * 2**30


class FeatureStore:
    """Feature maps of one backbone at one input size.

    Maps are rounded to half precision (relative error 2^-11) whether they are cached or not, so
    that a score does not depend on the cache. Cached maps are found by the content of the images
    and of the backbone.
    """

    def __init__(self, backbone: Backbone, image_size: int, device: torch.device) -> None:
        self.backbone = backbone.to(device)
        self.image_size = image_size
        self.device = device
        self.fingerprint = backbone.fingerprint()

    def features(self, images: ImageSource, label: str, cache: Path | None) -> list[np.ndarray]:
        """Return the maps of each level, float16 [N, C, H, W], memory-mapped when cached."""
        if cache is None:
            batches = list(self._batches(images, label))
            return [np.concatenate(level) for level in zip(*batches, strict=True)]
        folder = cache / self._key(images)
        if not folder.is_dir():
            self._fill(folder, images, label)
        folder.touch()
        return [np.load(path, mmap_mode="r") for path in sorted(folder.glob("level-*.npy"))]

    def _key(self, images: ImageSource) -> str:
        libraries = [
            cv2.__version__,
            torch.__version__,
            source_digest("backbones", "data/images.py"),
        ]
        network = [self.fingerprint, self.image_size, self.device.type]
        return digest_of([*libraries, *network, list(images.digests)])[:32]

    def _fill(self, folder: Path, images: ImageSource, label: str) -> None:
        _evict(folder.parent, CACHE_BYTES)
        with atomic_folder(folder) as partial:
            files: list[np.ndarray] = []
            start = 0
            for levels in self._batches(images, label):
                files = files or _open_files(partial, levels, len(images))
                for file, level in zip(files, levels, strict=True):
                    file[start : start + len(level)] = level
                start += len(levels[0])

    def _batches(self, images: ImageSource, label: str) -> Iterator[list[np.ndarray]]:
        starts = range(0, len(images), BATCH_SIZE)
        with ThreadPoolExecutor(1) as reader:
            inputs = reader.map(lambda start: self._read(images, start), starts)
            for batch in track(inputs, label, len(starts)):
                yield [_half(level, label) for level in self.backbone(batch.to(self.device))]

    def _read(self, images: ImageSource, start: int) -> Tensor:
        size = self.image_size
        batch = [
            resize_image(images[index], size, size)
            for index in range(start, min(start + BATCH_SIZE, len(images)))
        ]
        return torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2)


def _half(level: Tensor, label: str) -> np.ndarray:
    rounded = level.half()
    if not torch.isfinite(rounded).all():
        message = (
            f"{label}: features beyond half precision (largest {level.abs().max():.3g}); "
            "check the backbone's weights"
        )
        raise DataError(message)
    return rounded.cpu().numpy()


def _open_files(folder: Path, levels: Sequence[np.ndarray], count: int) -> list[np.ndarray]:
    return [
        np.lib.format.open_memmap(
            folder / f"level-{index}.npy", "w+", np.float16, (count, *level.shape[1:])
        )
        for index, level in enumerate(levels)
    ]


def _evict(cache: Path, limit: int) -> None:
    """Remove the entries longest unused until the rest is below the limit."""
    if not cache.is_dir():
        return
    entries = sorted(cache.iterdir(), key=lambda path: path.stat().st_mtime)
    sizes = [sum(file.stat().st_size for file in entry.glob("*")) for entry in entries]
    total = sum(sizes)
    for entry, size in zip(entries, sizes, strict=True):
        if total <= limit:
            break
        for file in entry.glob("*"):
            file.unlink()
        entry.rmdir()
        total -= size


def as_levels(features: Sequence[np.ndarray], rows: slice, grid: int | None) -> list[Tensor]:
    """Return some images' maps as float32, fused on one grid if one is given.

    Finer levels are averaged down, coarser ones interpolated bilinearly, channels concatenated.

    Args:
        features: per level float16 [N, C, H, W].
        rows: which images.
        grid: cells per side of the fused map, or None.
    """
    # one memory order: convolutions round differently in another
    levels = [torch.from_numpy(np.array(level[rows], order="C")).float() for level in features]
    if grid is None:
        return levels
    return [torch.cat([_regrid(level, grid) for level in levels], dim=1)]


def _regrid(level: Tensor, grid: int) -> Tensor:
    if level.shape[-1] > grid:
        return adaptive_avg_pool2d(level, grid)
    if level.shape[-1] < grid:
        return interpolate(level, size=(grid, grid), mode="bilinear", align_corners=False)
    return level
