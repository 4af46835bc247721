"""Mean metrics of a results table, and the runs that it has no value of."""

import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from clflow.errors import DataError


class _Row(NamedTuple):
    category: str
    method: str
    seed: str
    metric: str
    value: float | None


def load_means(path: Path) -> dict[str, dict[str, float]]:
    """Return the mean of each metric per method: over seeds, then over the categories that have it.

    Raises:
        DataError: results.csv is missing, lacks a column or holds a value that is not a number.
    """
    values: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in _rows(path):
        if row.value is not None:
            values[row.method, row.metric][row.category].append(row.value)
    means: dict[str, dict[str, float]] = defaultdict(dict)
    for (method, metric), categories in values.items():
        means[method][metric] = fmean(fmean(seeds) for seeds in categories.values())
    return dict(means)


def load_failed(path: Path) -> dict[str, list[str]]:
    """Return the runs without any value, such as `bolt seed 1`, of every method.

    Raises:
        DataError: as `load_means`.
    """
    valued: dict[tuple[str, str], bool] = {}
    for row in _rows(path):
        run = row.method, f"{row.category} seed {row.seed}"
        valued[run] = valued.get(run, False) or row.value is not None
    failed: dict[str, list[str]] = {method: [] for method, _ in valued}
    for (method, name), found in valued.items():
        failed[method] += [] if found else [name]
    return failed


def _rows(path: Path) -> Iterator[_Row]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                value = float(row["value"]) if row["value"] else None
                yield _Row(row["category"], row["method"], row["seed"], row["metric"], value)
    except (OSError, KeyError, ValueError) as error:
        message = f"{path} is not a results table ({error}); run `dvc repro tabulate`"
        raise DataError(message) from error
