"""What detectors learn from: good images of one category, and anomalies made from them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clflow.data.images import Box, FileImages, ImageSource, read_mask
from clflow.errors import DataError
from clflow.synthesis.background import Background, Decision, decide_from
from clflow.synthesis.rows import BankRow, read_rows
from clflow.synthesis.settings import SynthesizeSettings

# what a bank was made from; written by `clflow.synthesis.bank`
SUMMARY = "bank.json"


@dataclass(frozen=True)
class SyntheticAnomalies:
    """Synthetic anomalies: image i was made from good image `sources[i]`.

    Attributes:
        masks: reads the mask of anomaly i, bool [H, W].
        boxes: half-open boxes (x0, y0, x1, y1) of the mask's components, in pixels.
    """

    images: ImageSource
    masks: Callable[[int], np.ndarray]
    boxes: tuple[tuple[Box, ...], ...]
    sources: tuple[int, ...]


@dataclass(frozen=True)
class Category:
    """What the synthesize stage knew of a category: its names, its decision, the settings."""

    dataset: str
    name: str
    decision: Decision
    synthesize: SynthesizeSettings


@dataclass(frozen=True)
class TrainingData:
    """Good images of one category and anomalies made from them; nothing of the test set.

    Attributes:
        category: what is known of it, for detectors that make anomalies themselves.
    """

    good: ImageSource
    anomalies: SyntheticAnomalies | None = None
    category: Category | None = None


def bank_data(good: ImageSource, bank: Path) -> TrainingData:
    """Return good images, the training split of their bank, and what it says of the category.

    Raises:
        DataError: the bank is missing or damaged.
    """
    return TrainingData(good, _anomalies(read_rows(bank / "train")), _category(bank / SUMMARY))


@dataclass(frozen=True)
class _Masks:
    """The masks of a bank's rows; unlike a closure it can be sent to another process."""

    rows: tuple[BankRow, ...]

    def __call__(self, index: int) -> np.ndarray:
        row = self.rows[index]
        return read_mask(row.mask, row.shape)


def _anomalies(rows: Sequence[BankRow]) -> SyntheticAnomalies:
    return SyntheticAnomalies(
        images=FileImages(tuple(row.image for row in rows)),
        masks=_Masks(tuple(rows)),
        boxes=tuple(row.boxes for row in rows),
        sources=tuple(row.destination.index for row in rows),
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
