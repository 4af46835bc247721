"""A finished study as its files, and what MLflow knows of it."""

import shutil
from pathlib import Path
from typing import Any

import pytest

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


def write_tables(root: Path) -> None:
    """Write what `tabulate` leaves: two methods, two categories, a value that is not defined."""
    (root / "tables").mkdir()
    rows = ["bolt,clflow,0,image_auroc,0.5", "bolt,clflow,1,image_auroc,0.7"]
    rows += ["nut,clflow,0,image_auroc,1.0", "nut,clflow,0,pixel_auroc,", "nut,fastflow,0,ap,0.25"]
    lines = ["dataset,category,method,seed,metric,value", *(f"demo,{row}" for row in rows)]
    (root / "tables/results.csv").write_text("\n".join(lines) + "\n")
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
