"""A category's images and bank, as detectors take them."""

from collections.abc import Sequence
from pathlib import Path

from clflow.data.images import FileImages, ImageSource
from clflow.data.records import Manifest, Record, region_of
from clflow.data.region_of_interest import seen
from clflow.errors import DataError
from clflow.synthesis.rows import read_rows
from clflow.synthesis.training_data import TrainingData, bank_data


def image_files(root: Path, records: Sequence[Record]) -> ImageSource:
    """Return the images of some records; what is ignored of them is painted over.

    Raises:
        DataError: a file is gone or has changed since the manifest was made.
    """
    paths = tuple(root / record.path for record in records)
    images = FileImages(paths, tuple(record.how() for record in records), max_pixels=None)
    missing = [str(path) for path in images.paths if not path.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} images are gone, first {missing[0]}; restore them and run `dvc repro`"
        )
    changed = [
        record.path
        for record, digest in zip(records, images.contents, strict=True)
        if record.sha256 != digest
    ]
    if changed:
        message = (
            f"{len(changed)} images differ from their manifest, first {changed[0]}; run `dvc repro`"
        )
        raise DataError(message)
    return seen(images, region_of(records, root))


def training_data(manifest: Manifest, root: Path, bank: Path) -> TrainingData:
    """Return the good training images, the bank's training split and what it says of the category.

    Raises:
        DataError: an image is gone or has changed, or the bank is damaged.
    """
    return bank_data(image_files(root, manifest.train), bank)


def validation_anomalies(bank: Path) -> FileImages:
    """Return the images of the bank's frozen validation split."""
    return FileImages(tuple(row.image for row in read_rows(bank / "validation")))
