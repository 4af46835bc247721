"""Files of the stages cost and selection_bias for the tests of the tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from clflow.files import write_json
from clflow.study.cost import CostReport
from clflow.study.selection_bias import CurvePoint, SelectionBiasReport, TrainingCurve, gaps


def write_cost(folder: Path, method: str, batches: Sequence[int] = (1, 16)) -> Path:
    """Write what a method costs into `folder`, results/cost/<study>."""
    latency = {"median_ms": 12.34, "p95_ms": 15.0, "images_per_second": 81.0}
    memory = {"imports_bytes": 1, "peak_bytes": 3 * 2**29, "gpu_peak_bytes": None}
    report = CostReport.model_validate(
        {
            "study": folder.name,
            "dataset": "own",
            "category": "bolt",
            "method": method,
            "settings": {},
            "protocol": {},
            "machine": {"gpu": None, "device": "cpu", "processor": "A processor", "threads": 2},
            "input_size": (64, 64),
            "size": {
                "backbone_parameters": 3_400_000,
                "additional_parameters": 140_000,
                "total_parameters": 3_540_000,
                "stored_values": 0,
                "saved_bytes": 2**20,
            },
            "gmacs": {"backbone": 0.3, "detector": 1.5},
            "training": {"seconds": 78.04, "good_images": 20, "memory": memory},
            "latency": {
                batch: {"backbone": latency, "detector": latency, "ratio": 2.5} for batch in batches
            },
            "scoring_memory": memory,
        }
    )
    path = folder / f"{method}.json"
    write_json(path, report.model_dump(mode="json"))
    return path


def write_selection_bias(
    folder: Path,
    method: str,
    category: str,
    curves: Sequence[Sequence[Mapping[str, float | None]]],
) -> Path:
    """Write metrics after each point, by seed, into `folder`, results/selection_bias/<study>."""
    seeds = {}
    for seed, values in enumerate(curves):
        points = tuple(CurvePoint(step=i + 1, metrics=dict(own)) for i, own in enumerate(values))
        seeds[seed] = TrainingCurve(points=points, gap=gaps(points, values[0]))
    report = SelectionBiasReport(
        study=folder.name,
        dataset="own",
        category=category,
        method=method,
        protocol={},
        digests={},
        seeds=seeds,
    )
    path = folder / method / f"{category}.json"
    write_json(path, report.model_dump(mode="json"))
    return path
