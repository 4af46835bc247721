"""Where a study's raw scores and its figures of ranks are, relative to the repository root."""

from pathlib import Path

from clflow.paths import scores_folder


def scores_root(study: str) -> Path:
    """Return the folder of a study's raw scores, of all methods and categories."""
    return scores_folder(study, "", "")


def ranks_folder(study: str) -> Path:
    """Return the folder of a study's mean ranks and critical-difference diagrams."""
    return Path("reports/ranks") / study
