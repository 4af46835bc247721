"""Mean metrics of a results table."""

import csv
from collections import defaultdict
from pathlib import Path
from statistics import fmean

from clflow.errors import DataError


def load_means(path: Path) -> dict[str, dict[str, float]]:
    """Return the mean of each metric per method: over seeds, then over the categories that have it.

    Raises:
        DataError: results.csv is missing, lacks a column or holds a value that is not a number.
    """
    means: dict[str, dict[str, float]] = defaultdict(dict)
    for (method, metric), categories in _values(path).items():
        means[method][metric] = fmean(fmean(seeds) for seeds in categories.values())
    return dict(means)


def _values(path: Path) -> dict[tuple[str, str], dict[str, list[float]]]:
    values: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["value"]:
                    key = (row["method"], row["metric"])
                    values[key][row["category"]].append(float(row["value"]))
    except (OSError, KeyError, ValueError) as error:
        message = f"{path} is not a results table ({error}); run `dvc repro tabulate`"
        raise DataError(message) from error
    return values
