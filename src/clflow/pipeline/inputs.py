"""A category's images and bank, as detectors take them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clflow.data.images import FileImages, read_mask
from clflow.data.records import Manifest, Record
from clflow.errors import DataError
from clflow.synthesis.background import Background, decide_from
from clflow.synthesis.bank import SUMMARY
from clflow.synthesis.rows import BankRow, read_rows
from clflow.synthesis.settings import SynthesizeSettings
from clflow.synthesis.training_data import Category, Negatives, TrainingData


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
    """Return the good training images, the bank's training split and what it says of the category.

    Raises:
        DataError: an image is gone or has changed, or the bank is damaged.
    """
    good, rows = image_files(root, manifest.train), read_rows(bank / "train")
    return TrainingData(good, _negatives(rows), _category(bank / SUMMARY))


def validation_anomalies(bank: Path) -> FileImages:
    """Return the images of the bank's frozen validation split."""
    return FileImages(tuple(row.image for row in read_rows(bank / "validation")))


@dataclass(frozen=True)
class _Masks:
    """The masks of a bank's rows; unlike a closure it can be sent to another process."""

    rows: tuple[BankRow, ...]

    def __call__(self, index: int) -> np.ndarray:
        row = self.rows[index]
        return read_mask(row.mask, row.shape)


def _negatives(rows: Sequence[BankRow]) -> Negatives:
    return Negatives(
        images=FileImages(tuple(row.image for row in rows)),
        masks=_Masks(tuple(rows)),
        boxes=tuple(row.boxes for row in rows),
        owners=tuple(row.destination.index for row in rows),
    )


def _category(summary: Path) -> Category | None:
    if not summary.is_file():
        return None
    try:
        values = json.loads(summary.read_text(encoding="utf-8"))
        names = values["dataset"], values["category"]
        settings = SynthesizeSettings.model_validate(values["synthesize"])
        background = values["background"]
        measured = None if background is None else Background(**background)
        return Category(*names, decide_from(*names, settings, measured), settings)
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{summary} does not say how the bank was made ({error!r}); run the synthesize stage "
            "again"
        ) from error
