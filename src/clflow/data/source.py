"""Images for a detector, read one at a time."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import numpy as np

from clflow.data.images import read_image
from clflow.files import sha256_of


class ImageSource(Protocol):
    """A sequence of RGB images whose contents are identified by digests."""

    @property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of every image, in order."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> np.ndarray:
        """Return one image, uint8 [H, W, 3]."""


@dataclass(frozen=True)
class FileImages:
    """Images in files."""

    paths: tuple[Path, ...]

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of every file as it is now."""
        with ThreadPoolExecutor(2) as pool:
            return tuple(pool.map(sha256_of, self.paths))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        return read_image(self.paths[index])


@dataclass(frozen=True, eq=False)
class ArrayImages:
    """Images in memory, uint8 [H, W, 3] each."""

    arrays: Sequence[np.ndarray]

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of every array's shape and bytes."""
        return tuple(
            sha256(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes()).hexdigest()
            for array in self.arrays
        )

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.arrays[index]
