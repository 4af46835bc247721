"""Where the figures of a category are, relative to the repository root."""

from pathlib import Path


def figures_folder(study: str, category: str) -> Path:
    """Return the folder of a category's curves and histograms, of all methods."""
    return Path("reports/figures") / study / category
