"""Where the costs of a study's methods are, relative to the repository root."""

from pathlib import Path

WORK = Path(".clflow/cost")


def cost_folder(study: str) -> Path:
    """Return the folder of what a study's methods cost."""
    return Path("results/cost") / study


def cost_path(study: str, method: str) -> Path:
    """Return what one method costs."""
    return cost_folder(study) / f"{method}.json"
