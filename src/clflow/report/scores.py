"""The raw image scores of a study, checked against the metrics that were made from them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clflow.errors import DataError
from clflow.metrics.registry import named
from clflow.statistics.delong import placements
from clflow.study.paths import influence_column
from clflow.study.runs import RunResult

IMAGE_COLUMNS = ["path", "label", "defect"]
_REMEDY = "run `dvc repro`"
# The metric was summed in another order.
_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Test images [N: path, label, defect] and their scores [N] by method and seed.

    `moves` are influences [N] on metrics by method, seed and metric, NaN for images that have no
    part in it. A run that failed has no entry; without any run there are no images either.
    """

    images: pd.DataFrame
    by_run: Mapping[tuple[str, int], NDArray[np.float64]]
    moves: Mapping[tuple[str, int, str], NDArray[np.float64]] = field(default_factory=dict)

    @property
    def labels(self) -> NDArray[np.int_]:
        """0 for good and 1 for anomalous images, [N]."""
        return self.images["label"].to_numpy(dtype=int)

    def models(self, method: str, seeds: Sequence[int]) -> NDArray[np.float64] | None:
        """Return a method's scores [seeds, N], None unless AUROC is defined for every seed."""
        found = [self.by_run[method, seed] for seed in seeds if (method, seed) in self.by_run]
        complete = len(found) == len(seeds) and bool(np.isfinite(found).all())
        return np.stack(found) if complete and set(self.labels) == {0, 1} else None

    def influences(
        self, method: str, metric: str, seeds: Sequence[int]
    ) -> NDArray[np.float64] | None:
        """Return the influence of each image [N] on a metric, mean over seeds; None if unknown."""
        keys = [(method, seed, metric) for seed in seeds]
        if not all(key in self.moves for key in keys):
            return None
        return np.asarray(np.mean([self.moves[key] for key in keys], axis=0))


def score_file(folder: Path, method: str, category: str, seed: int) -> Path:
    """Return where the scores of a run are below a study's `folder`."""
    return folder / category / method / f"seed-{seed}.parquet"


def read_scores(folder: Path, runs: Iterable[RunResult]) -> dict[str, ScoreTable]:
    """Read the test scores of all runs that did not fail, by category; `folder` is scores/<study>.

    Raises:
        DataError: a file is missing or malformed, holds other images than another one of its
            category, or does not give the image AUROC of its run.
    """
    by_category: dict[str, list[RunResult]] = {}
    for run in runs:
        by_category.setdefault(run.category, []).append(run)
    return {name: _read_category(folder, own) for name, own in by_category.items()}


def saved_scores(scores: Mapping[str, ScoreTable]) -> dict[str, str]:
    """Return a CSV text per category: path, label, defect and a column `method/seed` per run.

    Digits are those of 32-bit floats, which detectors give: order and ties are kept.
    """
    return {name: _csv(own) for name, own in scores.items()}


def load_saved_scores(path: Path) -> ScoreTable:
    """Read the scores of a category back from the CSV file of a saved study.

    Raises:
        DataError: the file is missing or malformed.
    """
    try:
        table = pd.read_csv(path, dtype={"path": str, "defect": str}, keep_default_na=False)
        images, runs = table[IMAGE_COLUMNS], table.drop(columns=IMAGE_COLUMNS)
        by_run = {_run_of(str(name)): runs[name].to_numpy(dtype=np.float64) for name in runs}
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"cannot read saved scores {path}: {error}; save the study again"
        ) from error
    return ScoreTable(images, by_run)


def _csv(scores: ScoreTable) -> str:
    columns = {f"{method}/{seed}": values for (method, seed), values in scores.by_run.items()}
    runs = pd.DataFrame(columns, index=scores.images.index).astype(np.float32)
    return pd.concat([scores.images, runs], axis=1).to_csv(index=False, lineterminator="\n")


def _run_of(column: str) -> tuple[str, int]:
    method, seed = column.rsplit("/", 1)
    return method, int(seed)


def _read_category(folder: Path, runs: Sequence[RunResult]) -> ScoreTable:
    images: pd.DataFrame | None = None
    by_run, moves = {}, {}
    for run in runs:
        for seed in run.whole_seeds:
            path = score_file(folder, run.method, run.category, seed)
            table = _read_file(path)
            images = table[IMAGE_COLUMNS] if images is None else images
            _check_same_images(table[IMAGE_COLUMNS], images, path)
            by_run[run.method, seed] = table["score"].to_numpy(dtype=np.float64)
            for metric in named("influence"):
                if influence_column(metric) in table:
                    found = table[influence_column(metric)].to_numpy(dtype=np.float64)
                    moves[run.method, seed, metric] = found
            _check_auroc(table, run.seeds[seed]["image_auroc"], path)
    nothing = pd.DataFrame(columns=IMAGE_COLUMNS)
    return ScoreTable(nothing if images is None else images, by_run, moves)


def _read_file(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read raw scores {path}: {error}; {_REMEDY}") from error
    missing = {*IMAGE_COLUMNS, "split", "score"} - set(table)
    if missing:
        raise DataError(f"raw scores {path} lack {', '.join(sorted(missing))}; {_REMEDY}")
    return table[table["split"] == "test"].reset_index(drop=True)


def _check_same_images(images: pd.DataFrame, expected: pd.DataFrame, path: Path) -> None:
    if not images.equals(expected):
        raise DataError(
            f"{path} holds other test images or labels than another run of its category, so they "
            f"cannot be compared; {_REMEDY}"
        )


def _check_auroc(table: pd.DataFrame, expected: float | None, path: Path) -> None:
    if expected is None or not np.isfinite(table["score"]).all():
        return
    found = placements(table["label"], table["score"]).auroc
    if not math.isclose(found, expected, abs_tol=_TOLERANCE):
        raise DataError(
            f"{path} gives an image AUROC of {found:.6f}, the results say {expected:.6f}; {_REMEDY}"
        )
