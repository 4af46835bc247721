"""Many images inspected one batch after another: rows, pictures, and a count at the end."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clflow.data.images import ArrayImages, ImageSource
from clflow.data.reading import Reading
from clflow.decision.calibration import DECISIONS, Calibration
from clflow.decision.inputs import Item
from clflow.decision.pictures import Pictures
from clflow.decision.prediction import Prediction, as_row
from clflow.decision.rows import COLUMNS, Row, RowFile
from clflow.errors import DataError
from clflow.progress import track

# decoded pixels that a batch may hold beyond its first image
_PIXELS = 64_000_000


class Predictor(Protocol):
    """What predicts: a loaded package, or an export of one."""

    @property
    def calibration_(self) -> Calibration | None:
        """Thresholds, None where there are none."""

    @property
    def package_(self) -> str | None:
        """The digest of the package."""

    @property
    def reading_(self) -> Reading:
        """How files are read."""

    def predictions(self, images: ImageSource, *, minimum_area: int = 1) -> Iterator[Prediction]:
        """Yield the prediction of each image."""


@dataclass
class Tally:
    """What a run came to; `milliseconds` are of each image, its share of its batch."""

    decisions: Counter[str] = field(default_factory=Counter)
    errors: int = 0
    kept: int = 0
    milliseconds: list[float] = field(default_factory=list)

    def describe(self) -> str:
        """Return counts and latency in one line."""
        count = sum(self.decisions.values()) + self.errors
        parts = [f"{self.decisions[name]} {name}" for name in (*DECISIONS, "without a decision")]
        shown = [part for part in parts if not part.startswith("0 ") or part.endswith("good")]
        text = f"{count} image(s): {', '.join(shown)}"
        if self.errors:
            text += f", {self.errors} error(s)"
        if self.kept:
            text += f"; {self.kept} kept from before"
        if self.milliseconds:
            half, most = np.percentile(self.milliseconds, [50, 95])
            text += f"; milliseconds an image: P50 {half:.1f}, P95 {most:.1f}"
        return text


@dataclass(frozen=True)
class Run:
    """How images are inspected.

    Attributes:
        batch: how many are scored at once; fewer where they are large.
        fail_fast: whether the first image that cannot be read ends the work.
        minimum_area: smaller regions are left out, in pixels.
    """

    predictor: Predictor
    pictures: Pictures
    batch: int = 16
    fail_fast: bool = False
    minimum_area: int = 1


def inspect(run: Run, items: Iterable[Item], rows: RowFile, *, resume: bool = False) -> Tally:
    """Write a row for each image, and its pictures; return what it came to.

    A batch of images is in memory at a time. After each batch the file of rows is whole.

    Args:
        run: how.
        items: the images.
        rows: where to.
        resume: go on after rows that are there already; those with errors are tried again.

    Raises:
        DataError: with `fail_fast`, an image cannot be read; or the rows that are there are of
            another package.
        StorageError: something cannot be written.
    """
    kept = _kept(run, rows) if resume and rows.exists() else []
    rows.start(kept)
    tally, done = Tally(kept=len(kept)), {row["path"] for row in kept}
    number = len(kept)
    waiting = (item for item in items if item.name not in done)
    for batch in _batches(track(waiting, "images", None), run):
        found = list(_inspected(run, batch, number))
        rows.add(found)
        number += len(found)
        _count(tally, found)
    rows.finish()
    return tally


def _kept(run: Run, rows: RowFile) -> list[Row]:
    before = rows.read()
    others = {row["package"] for row in before} - {run.predictor.package_}
    if others:
        raise DataError(
            f"{rows.path} holds results of another package ({str(others.pop())[:12]}): name "
            "another file, or replace it with --overwrite"
        )
    return [row for row in before if not row["error"]]


@dataclass(frozen=True)
class _Read:
    item: Item
    image: NDArray[np.uint8] | None
    error: str
    seconds: float


def _batches(items: Iterator[Item], run: Run) -> Iterator[list[_Read]]:
    """Yield images that were read, as many as a batch may hold."""
    while first := list(islice(items, 1)):
        batch, pixels = [_read(first[0], run)], 0
        while len(batch) < run.batch and pixels < _PIXELS:
            image = batch[-1].image
            pixels += 0 if image is None else image.shape[0] * image.shape[1]
            more = list(islice(items, 1))
            if not more:
                break
            batch.append(_read(more[0], run))
        yield batch


def _read(item: Item, run: Run) -> _Read:
    start = time.perf_counter()
    try:
        image, error = item.read(), ""
    except DataError as problem:
        if run.fail_fast:
            raise
        image, error = None, str(problem)
    return _Read(item, image, error, time.perf_counter() - start)


def _inspected(run: Run, batch: list[_Read], number: int) -> Iterator[Row]:
    start = time.perf_counter()
    known = [each for each in batch if each.image is not None]
    outcomes = iter(_outcomes(run, [each.image for each in known if each.image is not None]))
    share = (time.perf_counter() - start) / max(1, len(known))
    for place, each in enumerate(batch, start=number):
        found: Prediction | str = each.error if each.image is None else next(outcomes)
        row = _row(run, each, found, 1000 * (share + each.seconds))
        if isinstance(found, Prediction) and each.image is not None:
            named = replace(found, path=each.item.name)
            run.pictures.write(place, each.image, named, run.predictor.calibration_)
        yield row


def _outcomes(run: Run, images: list[NDArray[np.uint8]]) -> list[Prediction | str]:
    """Return the prediction of each image, or why there is none."""
    try:
        found = run.predictor.predictions(ArrayImages(images), minimum_area=run.minimum_area)
        return list(found)
    except DataError as problem:
        if run.fail_fast:
            raise
        if len(images) == 1:
            return [str(problem)]
    # one of them is the reason: each by itself
    return [outcome for image in images for outcome in _outcomes(run, [image])]


def _row(run: Run, read: _Read, found: Prediction | str, milliseconds: float) -> Row:
    row: dict[str, Any] = dict.fromkeys(COLUMNS) if isinstance(found, str) else as_row(found)
    return {
        **row,
        "path": read.item.name,
        "milliseconds": round(milliseconds, 3),
        "package": run.predictor.package_,
        "error": found if isinstance(found, str) else None,
    }


def _count(tally: Tally, rows: Iterable[Row]) -> None:
    for row in rows:
        if row["error"]:
            tally.errors += 1
        else:
            tally.decisions[row["decision"] or "without a decision"] += 1
            tally.milliseconds.append(row["milliseconds"])


def results_file(out: Path) -> RowFile:
    """Return the file of rows that an output stands for: itself, or predictions.csv inside.

    Raises:
        SettingsError: its name has another ending than .csv, .jsonl or .parquet.
    """
    return RowFile(out if out.suffix and not out.is_dir() else out / "predictions.csv")
