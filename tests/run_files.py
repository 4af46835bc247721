"""Run files of a tiny study for the tests of the tables."""

from pathlib import Path
from typing import Any

import pandas as pd

from clflow.files import write_json
from clflow.study.settings import StudySettings
from clflow.tables.metrics import METRICS
from clflow.tables.results import read_results

DATASET = "mvtec_ad"
STUDY = StudySettings(
    name="small",
    dataset=DATASET,
    layout="mvtec_ad",
    root="data/raw/mvtec_ad",
    index="data/raw/mvtec_ad/source.json",
    categories=("metal_nut", "bottle"),
    methods=("clflow", "fast_flow"),
    seeds=(0, 1),
)


def write_run(
    folder: Path,
    method: str,
    category: str,
    seeds: dict[int, dict[str, float | None]],
    /,
    **changes: Any,
) -> Path:
    """Write a run file of which every metric that is not given is 0.5."""
    run = {
        "study": folder.name,
        "dataset": DATASET,
        "category": category,
        "method": method,
        "protocol": {"threshold": "0.95 quantile", "masks": "at the input size"},
        "counts": {"test_good": 10, "test_anomalous": 20, "test_without_mask": 0},
        "digests": {"manifest": f"manifest of {category}", "bank": "b"},
        "seeds": {str(s): {**dict.fromkeys(METRICS, 0.5), **own} for s, own in seeds.items()},
    }
    path = folder / method / f"{category}.json"
    write_json(path, run | changes)
    return path


def write_study(folder: Path, values: dict[str, dict[str, list[float | None]]]) -> pd.DataFrame:
    """Write runs of image_auroc values[category][method][seed], and return the tidy table."""
    for category, methods in values.items():
        for method, column in methods.items():
            seeds = {seed: {"image_auroc": value} for seed, value in enumerate(column)}
            write_run(folder, method, category, seeds)
    methods = next(iter(values.values()))
    seeds_run = range(len(next(iter(methods.values()))))
    return read_results(folder, list(values), list(methods), seeds_run)
