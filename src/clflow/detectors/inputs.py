"""A category's images and bank, as detectors take them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from clflow.data.images import read_mask
from clflow.data.records import Manifest, Record
from clflow.data.source import FileImages
from clflow.detectors.protocol import Negatives, TrainingData
from clflow.errors import DataError
from clflow.synthesis.rows import BankRow, read_rows


def image_files(root: Path, records: Sequence[Record]) -> FileImages:
    """Return the images of some records.

    Raises:
        DataError: a file is gone or has changed since the manifest was made.
    """
    images = FileImages(tuple(root / record.path for record in records))
    missing = [str(path) for path in images.paths if not path.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} images are gone, first {missing[0]}; restore them and run `dvc repro`"
        )
    changed = [
        record.path
        for record, digest in zip(records, images.digests, strict=True)
        if record.sha256 != digest
    ]
    if changed:
        message = (
            f"{len(changed)} images differ from their manifest, first {changed[0]}; run `dvc repro`"
        )
        raise DataError(message)
    return images


def training_data(manifest: Manifest, root: Path, bank: Path) -> TrainingData:
    """Return the good training images and the anomalies of the bank's training split."""
    return TrainingData(image_files(root, manifest.train), _negatives(read_rows(bank / "train")))


def validation_anomalies(bank: Path) -> FileImages:
    """Return the images of the bank's frozen validation split."""
    return FileImages(tuple(row.image for row in read_rows(bank / "validation")))


def _negatives(rows: Sequence[BankRow]) -> Negatives:
    def mask(index: int) -> np.ndarray:
        row = rows[index]
        return read_mask(row.mask, row.shape)

    return Negatives(
        images=FileImages(tuple(row.image for row in rows)),
        masks=mask,
        boxes=tuple(row.boxes for row in rows),
        owners=tuple(row.destination.index for row in rows),
    )
