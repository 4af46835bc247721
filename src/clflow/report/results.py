"""The tidy table of a study: one row per category, method, seed and metric."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from clflow.errors import DataError
from clflow.files import write_text
from clflow.metrics.registry import METRICS
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
