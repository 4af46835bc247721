"""The costs of a study's methods as a table; `folder` is results/cost/<study>."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, FiniteFloat, NonNegativeInt, PositiveFloat, PositiveInt

from clflow.files import read_report


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Size(_Part):
    """Parameters of the backbone and beyond it; other numbers that are stored; bytes on disk."""

    backbone_parameters: NonNegativeInt
    additional_parameters: NonNegativeInt
    total_parameters: NonNegativeInt
    stored_values: NonNegativeInt
    saved_bytes: NonNegativeInt


class Macs(_Part):
    """Billions of multiply-adds for one image."""

    backbone: FiniteFloat
    detector: FiniteFloat


class Memory(_Part):
    """Highest resident set of a process, and that after its imports; None without a GPU."""

    imports_bytes: PositiveInt
    peak_bytes: PositiveInt
    gpu_peak_bytes: NonNegativeInt | None


class Training(_Part):
    """One training run from images and anomalies on disk."""

    seconds: PositiveFloat
    good_images: PositiveInt
    memory: Memory


class Latency(_Part):
    """Milliseconds of one call on a batch, and images per second at the median."""

    median_ms: PositiveFloat
    p95_ms: PositiveFloat
    images_per_second: PositiveFloat


class BatchLatency(_Part):
    """Latency of the bare backbone and of the detector, and how many backbones the latter takes."""

    backbone: Latency
    detector: Latency
    ratio: PositiveFloat


class CostReport(_Part):
    """All costs of a method; `latency` is by batch size, `machine` what the figures depend on."""

    study: str
    dataset: str
    category: str
    method: str
    settings: dict[str, Any]
    protocol: dict[str, str]
    machine: dict[str, Any]
    input_size: tuple[PositiveInt, PositiveInt]
    size: Size
    gmacs: Macs
    training: Training
    latency: dict[PositiveInt, BatchLatency]
    scoring_memory: Memory


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
