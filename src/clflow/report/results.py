"""The results of a study: the tidy table of its metrics, and the raw scores that these are of."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clflow.errors import DataError
from clflow.files import write_text
from clflow.metrics.registry import METRICS, named
from clflow.statistics.delong import placements
from clflow.study.paths import influence_column
from clflow.study.runs import RunResult, read_runs

COLUMNS = ("dataset", "category", "method", "seed", "metric", "value")
_RUN = ["category", "method", "seed"]


def read_results(
    folder: Path, categories: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> pd.DataFrame:
    """Return the tidy table of the runs in `folder`, results/runs/<study>; undefined is NaN.

    Raises:
        DataError: a file or seed is missing or malformed.
    """
    return tidy(read_runs(folder, categories, methods, seeds), seeds)


def tidy(runs: Iterable[RunResult], seeds: Sequence[int]) -> pd.DataFrame:
    """Return one row per run, seed and metric, in that order."""
    rows = [
        (run.dataset, run.category, run.method, seed, name, run.seeds[seed][name])
        for run in runs
        for seed in seeds
        for name in METRICS
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"seed": int, "value": float})


def failed_runs(results: pd.DataFrame) -> list[tuple[str, str, int]]:
    """Return category, method and seed of the runs in a tidy table that have no value at all."""
    failed = results[_values_of_run(results) == 0].drop_duplicates(_RUN)
    return list(failed[_RUN].itertuples(index=False, name=None))


def without_failed(results: pd.DataFrame) -> pd.DataFrame:
    """Return a tidy table without the rows of `failed_runs`."""
    return results[_values_of_run(results) > 0]


def _values_of_run(results: pd.DataFrame) -> pd.Series:
    return results.groupby(_RUN)["value"].transform("count")


def csv_text(frame: pd.DataFrame) -> str:
    """Return a tidy table as CSV: floats that read back exactly, undefined values empty."""
    return frame.to_csv(index=False, lineterminator="\n")


def write_results(frame: pd.DataFrame, path: Path) -> None:
    """Write a tidy table as CSV, whole or not at all."""
    write_text(path, csv_text(frame))


def load_results(path: Path) -> pd.DataFrame:
    """Read a tidy table back from its CSV file.

    Raises:
        DataError: the file is missing or is not a tidy table.
    """
    text = dict.fromkeys(("dataset", "category", "method", "metric"), str)
    try:
        # Without `keep_default_na` a category called "NA" or "none" would read as undefined.
        return pd.read_csv(
            path,
            usecols=list(COLUMNS),
            dtype={**text, "seed": int},
            converters={"value": _number},
            keep_default_na=False,
        )
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read results from {path}: {error}; run `dvc repro`") from error


def _number(field: str) -> float:
    return float(field) if field else math.nan


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
            _check_same_test_images(table[IMAGE_COLUMNS], images, path)
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


def _check_same_test_images(images: pd.DataFrame, expected: pd.DataFrame, path: Path) -> None:
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
