"""Where a study's files are, relative to the repository root."""

from pathlib import Path

ARCHIVES = Path("data/archives")
TEXTURES = Path("data/textures")
FEATURES = Path(".clflow/features")
RUNS = Path(".clflow/runs")
TABLES = Path("tables")
STUDIES = Path("results/studies")
PARAMS = Path("params.yaml")


def raw_folder(dataset: str) -> Path:
    """Return where the download stage puts a data set."""
    return Path("data/raw") / dataset


def manifest_path(study: str, category: str) -> Path:
    """Return the manifest of a category."""
    return Path("data/manifests") / study / f"{category}.csv"


def bank_folder(study: str, category: str) -> Path:
    """Return the bank of synthetic anomalies of a category."""
    return Path("data/bank") / study / category


def report_folder(study: str, category: str) -> Path:
    """Return the folder of a bank's contact sheet and statistics."""
    return Path("reports/synthesis") / study / category


def preview_path(study: str, category: str, split: str) -> Path:
    """Return the picture of a bank's split that a user asks for."""
    return Path("reports/previews") / study / f"{category}-{split}.png"


def model_folder(study: str, method: str, category: str) -> Path:
    """Return the folder that holds one sub-folder per seed."""
    return Path("models") / study / method / category


def seed_folder(study: str, method: str, category: str, seed: int) -> Path:
    """Return the folder of one trained model."""
    return model_folder(study, method, category) / f"seed-{seed}"


def scores_folder(study: str, method: str, category: str) -> Path:
    """Return the folder of raw per-image scores, one Parquet file per seed."""
    return Path("scores") / study / method / category


def overlays_folder(study: str, method: str, category: str) -> Path:
    """Return the folder of pictures: image, mask and anomaly map."""
    return Path("overlays") / study / method / category


def results_folder(study: str) -> Path:
    """Return the folder of a study's metrics."""
    return Path("results/runs") / study


def result_path(study: str, method: str, category: str) -> Path:
    """Return the metrics of one method on one category, all seeds."""
    return results_folder(study) / method / f"{category}.json"
