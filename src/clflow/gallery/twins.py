"""The good image that a synthetic anomaly was made on."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clflow.data.images import read_image, resize_image
from clflow.errors import DataError
from clflow.files import sha256_of
from clflow.synthesis.rows import BankRow


def good_twin(row: BankRow, root: Path) -> NDArray[np.uint8]:
    """Return the image before the anomaly, at the bank's size [H, W, 3]; `root` is the study's.

    Raises:
        DataError: it is missing, damaged or has changed.
    """
    return _read(root / row.destination.path, row.destination.sha256, row.shape)


# the anomalies of an image follow each other in a bank
@lru_cache(maxsize=1)
def _read(path: Path, sha256: str, shape: tuple[int, int]) -> NDArray[np.uint8]:
    image = read_image(path)
    if sha256_of(path) != sha256:
        raise DataError(
            f"{path} has changed since the bank was made; restore it or run `dvc repro`"
        )
    small = resize_image(image, *shape)
    small.flags.writeable = False
    return small
