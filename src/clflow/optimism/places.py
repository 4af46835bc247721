"""Where the optimism of a study's methods is, relative to the repository root."""

from pathlib import Path


def optimism_folder(study: str) -> Path:
    """Return the folder of a study's curves over training."""
    return Path("results/optimism") / study


def optimism_path(study: str, method: str, category: str) -> Path:
    """Return the curves of one method on one category, all seeds."""
    return optimism_folder(study) / method / f"{category}.json"
