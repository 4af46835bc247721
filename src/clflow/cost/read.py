"""The costs of a study's methods as a table; `folder` is results/cost/<study>."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from clflow.cost.report import CostReport
from clflow.reports import read_report

COLUMNS = (
    "method",
    "category",
    "device",
    "processor",
    "threads",
    "backbone_parameters",
    "additional_parameters",
    "total_parameters",
    "stored_values",
    "saved_bytes",
    "backbone_gmacs",
    "gmacs",
    "training_images",
    "training_seconds",
    "training_peak_bytes",
    "scoring_peak_bytes",
)


def read_costs(folder: Path, methods: Sequence[str]) -> pd.DataFrame:
    """Return one row per method whose cost was measured, latencies in columns by batch size.

    `median_ms_1`, `p95_ms_1`, `images_per_second_1` and `ratio_1` are the detector's at batch 1.

    Raises:
        DataError: a file is malformed.
    """
    paths = [folder / f"{method}.json" for method in methods]
    reports = [read_report(path, CostReport, "cost") for path in paths if path.is_file()]
    if not reports:
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.DataFrame([_row(report) for report in reports])


def _row(report: CostReport) -> dict[str, Any]:
    fixed = {
        "method": report.method,
        "category": report.category,
        "device": report.machine["gpu"] or report.machine["device"],
        "processor": report.machine["processor"],
        "threads": report.machine["threads"],
        **report.size.model_dump(),
        "backbone_gmacs": report.gmacs.backbone,
        "gmacs": report.gmacs.detector,
        "training_images": report.training.good_images,
        "training_seconds": report.training.seconds,
        "training_peak_bytes": report.training.memory.peak_bytes,
        "scoring_peak_bytes": report.scoring_memory.peak_bytes,
    }
    return {name: fixed[name] for name in COLUMNS} | _latencies(report)


def _latencies(report: CostReport) -> dict[str, float]:
    row: dict[str, float] = {}
    for batch, latency in report.latency.items():
        own = latency.detector.model_dump() | {"ratio": latency.ratio}
        row |= {f"{name}_{batch}": value for name, value in own.items()}
    return row
