"""Probes: images that a package keeps, by which an export is compared with the detector."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from clflow.data.images import ImageSource, fitted_size, resize_image
from clflow.errors import DataError
from clflow.files import atomic_path

if TYPE_CHECKING:
    from pydantic import BaseModel

# of good images, and of anomalies
_MOST = 16

Probes = tuple[NDArray[np.uint8], ...]


def choose_probes(good: ImageSource, anomalies: ImageSource, settings: "BaseModel") -> Probes:
    """Return some held-out good images and synthetic anomalies, at a detector's input size.

    Args:
        good: held-out good images.
        anomalies: made of them.
        settings: the method's, of which the input size is taken.
    """
    side = settings.image_size  # type: ignore[attr-defined]
    stretched = getattr(settings, "aspect", "stretch") == "stretch"

    def resized(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = image.shape[:2]
        size = (side, side) if stretched else fitted_size(height, width, side)
        return resize_image(image, *size)

    return tuple(resized(source[place]) for source in (good, anomalies) for place in _even(source))


def _even(source: ImageSource) -> Sequence[int]:
    """Return evenly spaced places of a source."""
    count = min(len(source), _MOST)
    return np.linspace(0, len(source) - 1, count).round().astype(int).tolist() if count else []


def write_probes(path: Path, probes: Probes) -> None:
    """Write images [H, W, 3] into one compressed file.

    Raises:
        StorageError: it cannot be written.
    """
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, *probes)


def read_probes(path: Path) -> Probes:
    """Read what `write_probes` wrote.

    Raises:
        DataError: the file holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return tuple(file[f"arr_{place}"] for place in range(len(file.files)))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DataError(f"{path} holds no images ({error}); copy the package again") from error
