"""A finished study as its files, and what MLflow knows of it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from clflow.data.records import Manifest, Record, write_manifest
from clflow.files import write_json
from clflow.tracking.store import tracking_uri

TRACKING_MARKS = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.usefixtures("default_tracking"),
]

UNIT = ("demo", "clflow", "bolt")
PARAMS = """
study:
  {name: demo, dataset: demo, source: folder, layout: mvtec, index: x, categories: {bolt: bolt},
   methods: [clflow], seeds: [0]}
"""


def seed_folder(root: Path, seed: int = 0, category: str = "bolt", study: str = "demo") -> Path:
    """Return where a model of `clflow` is."""
    return root / "models" / study / "clflow" / category / f"seed-{seed}"


def describe(seed: int, category: str, study: str) -> dict[str, Any]:
    """Return what a run was made from."""
    run = {
        "study": study,
        "dataset": "demo",
        "category": category,
        "method": "clflow",
        "seed": seed,
    }
    run |= {"settings": {"flow": {"steps": 8, "sizes": [2, 3]}, "note": "x" * 7000, "lr": None}}
    run |= {"digests": {"manifest": "m1", "bank": "b1"}, "versions": {"torch": "2.13.0"}}
    return run | {"device": "cpu"}


def write_failure(root: Path, seed: int, reason: str) -> None:
    """Write what `train` leaves of a training that diverged, in place of any model."""
    folder = seed_folder(root, seed)
    shutil.rmtree(folder, ignore_errors=True)
    write_json(folder / "failed.json", describe(seed, "bolt", "demo") | {"failure": reason})


def write_model(
    root: Path, seed: int = 0, category: str = "bolt", study: str = "demo", steps: int = 3
) -> None:
    """Write what `train` leaves: settings, a model and a curve of `steps` points."""
    folder = seed_folder(root, seed, category, study)
    write_json(folder / "run.json", describe(seed, category, study))
    write_json(folder / "model.json", {"channels": 4})
    (folder / "model.safetensors").write_bytes(b"weights")
    rows = [f"{step},{step // 100},{1 / (step + 1)},{-step},,0.001" for step in range(steps)]
    header = "step,epoch,loss,nll,classification,learning_rate"
    (folder / "history.csv").write_text("\n".join([header, *rows]) + "\n")


def write_result(root: Path, seeds: dict[str, dict[str, float | None]], **changes: Any) -> None:
    """Write what `evaluate` measured, by seed."""
    result = {"study": "demo", "dataset": "demo", "category": "bolt", "method": "clflow"}
    rules = {"protocol": {"aupro": "limit 0.3"}, "counts": {"test_good": 7}, "digests": {}}
    write_json(
        root / "results/runs/demo/clflow/bolt.json", result | rules | {"seeds": seeds} | changes
    )


def write_manifest_of(root: Path, category: str = "bolt", study: str = "demo") -> Manifest:
    """Write a manifest of 3 good images to train on, 1 held out and 2 to test."""
    splits = ("train", "train", "train", "validation", "test", "test")
    records = tuple(
        Record(f"{category}/{number}.png", f"{number}", 8, 8, 0, "good", None, split)
        for number, split in enumerate(splits)
    )
    manifest = Manifest(category, records)
    write_manifest(root / "data/manifests" / study / f"{category}.csv", manifest)
    return manifest


# by metric, category and method: the value of each seed
VALUES: dict[str, dict[str, dict[str, list[str]]]] = {
    "image_auroc": {
        "bolt": {"clflow": ["0.5", "0.7"], "fastflow": ["0.4", "0.6"]},
        "nut": {"clflow": ["1.0", "0.8"], "fastflow": ["0.9", ""]},
    },
    "pixel_auroc": {
        "bolt": {"clflow": ["0.5", "0.5"], "fastflow": ["", "0.5"]},
        "nut": {"clflow": ["0.5", "0.5"], "fastflow": ["0.5", ""]},
    },
}


def write_tables(root: Path) -> None:
    """Write what `tabulate` leaves of `VALUES`, where seed 1 of fastflow on nut failed."""
    rows = [
        f"demo,{category},{method},{seed},{metric},{value}"
        for metric, categories in VALUES.items()
        for category, methods in categories.items()
        for method, values in methods.items()
        for seed, value in enumerate(values)
    ]
    header = "dataset,category,method,seed,metric,value"
    (root / "tables").mkdir()
    (root / "tables/results.csv").write_text("\n".join([header, *rows]) + "\n")
    (root / "tables/summary.md").write_text("| table |\n")


def write_study(root: Path) -> None:
    """Write a study of two seeds from its models to its tables."""
    for seed in (0, 1):
        write_model(root, seed)
        scores = root / "scores/demo/bolt/clflow" / f"seed-{seed}.parquet"
        scores.parent.mkdir(parents=True, exist_ok=True)
        scores.write_bytes(b"scores")
    write_result(root, {"0": {"image_auroc": 0.9, "pixel_auroc": None}, "1": {"image_auroc": 0.8}})
    (root / "overlays/demo/clflow/bolt").mkdir(parents=True)
    (root / "overlays/demo/clflow/bolt/a.png").write_bytes(b"picture")
    write_tables(root)
    (root / "params.yaml").write_text(PARAMS)


def runs_of(root: Path, kind: str, study: str = "demo") -> list[Any]:
    """Return the runs of a kind (method, run or tables) by name."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking_uri(root))
    experiment = client.get_experiment_by_name(study)
    found = client.search_runs([experiment.experiment_id], f"tags.`clflow.kind` = '{kind}'")
    return sorted(found, key=lambda run: run.info.run_name)


def history_of(root: Path, run: Any, metric: str) -> list[tuple[int, float]]:
    """Return step and value of all points of a metric."""
    from mlflow import MlflowClient

    points = MlflowClient(tracking_uri=tracking_uri(root)).get_metric_history(
        run.info.run_id, metric
    )
    return [(point.step, point.value) for point in points]


def artifacts_of(root: Path, run: Any) -> set[str]:
    """Return the paths of a run's files."""
    folder = root / "mlruns/demo" / run.info.run_id / "artifacts"
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def own_tags(run: Any) -> dict[str, str]:
    """Return the tags that MLflow shows as such."""
    return {name: value for name, value in run.data.tags.items() if not name.startswith("mlflow.")}


def note_of(run: Any) -> str:
    """Return the description of a run."""
    return str(run.data.tags["mlflow.note.content"])


def record_of(root: Path, run: Any, name: str) -> dict[str, Any]:
    """Return the record `name`.json of what a run was made from."""
    path = root / "mlruns/demo" / run.info.run_id / f"artifacts/provenance/{name}.json"
    return dict(json.loads(path.read_text()))


def data_of(run: Any) -> dict[str, Any]:
    """Return the data sets of a run, by context."""
    return {
        tag.value: used.dataset
        for used in run.inputs.dataset_inputs
        for tag in used.tags
        if tag.key == "mlflow.data.context"
    }
