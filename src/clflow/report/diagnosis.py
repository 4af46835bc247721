"""What cost and selection_bias found, beside a study's tables; neither is a result of it.

The stage `tabulate` does not read them: these stages are off unless asked for. `clflow study show`
prints what there is, `clflow study save` keeps it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clflow.metrics.registry import METRICS
from clflow.report.evidence import MARK, Diagnosis
from clflow.report.results import failed_runs, without_failed
from clflow.report.summary import UNDEFINED
from clflow.study.cost import read_costs
from clflow.study.paths import StudyPaths
from clflow.study.selection_bias import read_gaps
from clflow.study.settings import StudySettings

_SELECTION_BIAS = (
    "A diagnosis from the test labels, no result: how much better the best of the observed "
    "training steps looks on the test images than the last one, which is what this study reports. "
    "Cells are last → best (difference), means over seeds, the best step chosen for each seed and "
    "metric."
)
_COST = (
    "Parameters in millions, multiply-adds for one image in billions; training from images and "
    "anomalies on disk with nothing cached; latency from decoded images to scores and maps, "
    "median (95th percentile), and as a multiple of the bare backbone's. Memory is the highest "
    "resident set of a process, libraries included."
)
# the metrics are those of the very same model, summed in the same order
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Places:
    """The folders results/cost/<study> and results/selection_bias/<study>."""

    cost: Path
    selection_bias: Path


def places_of(study: str) -> Places:
    """Return where the stages write, relative to the repository root."""
    return Places(StudyPaths(study).costs, StudyPaths(study).selection_biases)


def read_diagnoses(
    study: StudySettings, places: Places, results: pd.DataFrame, digits: int
) -> list[Diagnosis]:
    """Return what the stages found for the methods of a study: none, one or two tables.

    Raises:
        DataError: a file is malformed.
    """
    costs = read_costs(places.cost, study.methods)
    gaps = read_gaps(places.selection_bias, study.category_names, study.methods)
    found = []
    if not costs.empty:
        found.append(_cost(costs))
    if not gaps.empty:
        found.append(_selection_bias(gaps, results, digits))
    return found


def _cost(costs: pd.DataFrame) -> Diagnosis:
    cells = pd.DataFrame([_cost_row(row) for row in costs.to_dict("records")])
    return Diagnosis("cost", "Cost", _COST, costs, cells.fillna(UNDEFINED), tuple(_machines(costs)))


def _cost_row(row: dict[Any, Any]) -> dict[str, str]:
    cells = {
        "Method": row["method"],
        "Backbone (M)": _scaled(row["backbone_parameters"], 1e6, 2),
        "Added (M)": _scaled(row["additional_parameters"], 1e6, 2),
        "Stored (M)": _scaled(row["stored_values"], 1e6, 2),
        "On disk (MiB)": _scaled(row["saved_bytes"], 2**20, 1),
        "GMACs": _scaled(row["gmacs"], 1, 2),
        "Training (s)": _scaled(row["training_seconds"], 1, 1),
        "Memory, training (GiB)": _scaled(row["training_peak_bytes"], 2**30, 2),
        "Memory, scoring (GiB)": _scaled(row["scoring_peak_bytes"], 2**30, 2),
    }
    for batch in _batches(row):
        cells[f"Batch {batch} (ms)"] = _latency(row, batch)
    return cells


def _batches(row: Iterable[Any]) -> list[str]:
    return [name.removeprefix("median_ms_") for name in row if re.match(r"median_ms_\d+$", name)]


def _latency(row: dict[Any, Any], batch: str) -> str:
    if pd.isna(row[f"median_ms_{batch}"]):
        return UNDEFINED
    median, p95, ratio = (row[f"{name}_{batch}"] for name in ("median_ms", "p95_ms", "ratio"))
    return f"{median:.1f} ({p95:.1f}), {ratio:.2f} ×"


def _scaled(value: float, unit: float, digits: int) -> str:
    return f"{value / unit:.{digits}f}"


def _machines(costs: pd.DataFrame) -> list[str]:
    keys = ["category", "device", "processor", "threads"]
    lines = []
    for (category, device, processor, threads), own in costs.groupby(keys, sort=False):
        where = processor if device == "cpu" else f"{device}, {processor}"
        images = ", ".join(str(count) for count in own["training_images"].unique())
        lines.append(
            f"{', '.join(own['method'])}: measured on {category} ({images} training images), "
            f"{where}, {threads} {'thread' if threads == 1 else 'threads'}."
        )
    return lines


def _selection_bias(gaps: pd.DataFrame, results: pd.DataFrame, digits: int) -> Diagnosis:
    stale = _stale(gaps, results)
    marked = gaps.assign(stale=stale)
    cells = pd.DataFrame(_gap_rows(marked, digits))
    notes = [
        f"{method} on {category}: without seed {seed}, whose run failed."
        for category, method, seed in failed_runs(results)
        if method in set(gaps["method"])
    ]
    if any(stale):
        notes.append(
            f"{MARK} the value after the last step is not that of this study's results: it is of "
            "another model, other seeds or other masks; run `dvc repro --force selection_bias`."
        )
    return Diagnosis("selection_bias", "Selection bias", _SELECTION_BIAS, gaps, cells, tuple(notes))


def _gap_rows(gaps: pd.DataFrame, digits: int) -> list[dict[str, str]]:
    rows = [
        _gap_row(category, str(method), own, digits)
        for (category, method), own in gaps.groupby(["category", "method"], sort=False)
    ]
    count = gaps["category"].nunique()
    for method, own in gaps.groupby("method", sort=False):
        if count > 1 and own["category"].nunique() == count:
            by_metric = own.groupby("metric", sort=False)
            mean = by_metric[["last", "best", "gap"]].agg(_mean)
            mean = mean.assign(stale=by_metric["stale"].any()).reset_index()
            rows.append(_gap_row(f"mean of {count} categories", str(method), mean, digits))
    return rows


def _mean(values: pd.Series) -> float:
    return float(values.mean(skipna=False))


def _gap_row(category: object, method: str, own: pd.DataFrame, digits: int) -> dict[str, str]:
    cells = {METRICS[row["metric"]].title: _gap(row, digits) for row in own.to_dict("records")}
    return {"Category": str(category), "Method": method, **cells}


def _gap(row: dict[Any, Any], digits: int) -> str:
    if pd.isna(row["gap"]):
        return UNDEFINED
    text = f"{row['last']:.{digits}f} → {row['best']:.{digits}f} ({row['gap']:+.{digits}f})"
    return f"{text} {MARK}" if row["stale"] else text


def _stale(gaps: pd.DataFrame, results: pd.DataFrame) -> Sequence[bool]:
    """Return for each gap whether its last value is not the study's own."""
    place = ["metric", "category", "method"]
    means = without_failed(results).groupby(place)["value"].agg(_mean)
    own = [means.get(key, np.nan) for key in gaps[place].itertuples(index=False, name=None)]
    difference = (gaps["last"] - own).abs()
    undefined = gaps["last"].isna() & pd.isna(pd.Series(own, index=gaps.index))
    return [not ok for ok in (difference <= _TOLERANCE) | undefined]
