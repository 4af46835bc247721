"""Real defects beside synthetic ones: a diagnosis, which nothing that training needs may import."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clflow.canvas import CELL, Picture, below, beside, framed, image_cell, outlined, write
from clflow.data.images import fitted_size, resize_image, resize_mask
from clflow.data.records import Manifest, Record, record_image, record_mask
from clflow.errors import DataError
from clflow.progress import track
from clflow.synthesis.preview.sheet import even_choice
from clflow.synthesis.preview.statistics import (
    AnomalyStatistics,
    measure_anomaly,
    summarize_anomalies,
)

SHOWN = 10
WHOLE = "real defects"

_PER_LINE = 5


@dataclass(frozen=True, eq=False)
class _Defect:
    """A real anomalous image [H, W, 3] and its mask [H, W], None where nothing is marked."""

    record: Record
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_] | None


def draw_real(manifest: Manifest, root: Path, count: int = SHOWN) -> Picture:
    """Return at most `count` anomalous test images, spread over the kinds of defect, outlined.

    Raises:
        DataError: there is none, or a file is missing.
    """
    records = _anomalous(manifest)
    chosen = [records[index] for index in even_choice([one.defect for one in records], count)]
    cells = [_cell(_load(record, root)) for record in chosen]
    lines = [beside(cells[start : start + _PER_LINE]) for start in range(0, len(cells), _PER_LINE)]
    heading = (
        f"{manifest.category}: {len(records)} real defects of the test images, "
        f"{len(chosen)} shown; training never sees them"
    )
    return framed(below([write([heading], lines[0].shape[1]), *lines]))


def real_statistics(manifest: Manifest, root: Path, side: int) -> pd.DataFrame:
    """Return the statistics of the marked test images, and of each kind of defect.

    They are measured on images of the area side x side, as a bank's are.

    Raises:
        DataError: no test image is marked, or a file is missing.
    """
    records = _anomalous(manifest)
    found = track(_measurements(records, root, side), "measure real defects", len(records))
    measured = [one for one in found if one is not None]
    if not measured:
        raise DataError(
            f"the test images of {manifest.category} have no masks: real defects cannot be "
            "measured; leave --real out"
        )
    return summarize_anomalies(measured, WHOLE)


def _measurements(
    records: Sequence[Record], root: Path, side: int
) -> Iterator[AnomalyStatistics | None]:
    for record in records:
        defect = _load(record, root)
        if defect.mask is None:
            yield None
            continue
        size = fitted_size(record.height, record.width, side)
        image, mask = resize_image(defect.image, *size), resize_mask(defect.mask, *size)
        yield measure_anomaly(record.defect, image, mask)


def _anomalous(manifest: Manifest) -> list[Record]:
    records = [record for record in manifest.test if record.label]
    if not records:
        raise DataError(f"{manifest.category} has no anomalous test image: leave --real out")
    return records


def _load(record: Record, root: Path) -> _Defect:
    return _Defect(record, record_image(record, root), record_mask(record, root))


def _cell(defect: _Defect) -> Picture:
    cell = image_cell(defect.image)
    name = f"{defect.record.defect} {Path(defect.record.path).stem}"
    if defect.mask is None:
        return below([cell, write([name, "not marked"], CELL)], 0)
    area = f"area {100 * defect.mask.mean():.1f} %"
    return below([outlined(cell, defect.mask), write([name, area], CELL)], 0)
