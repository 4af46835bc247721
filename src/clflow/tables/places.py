"""Where a study's raw scores and figures of ranks are, and what its table files are called."""

from pathlib import Path

from clflow.paths import scores_folder

RESULTS, INTERVALS, COMPARISONS = "results.csv", "intervals.csv", "comparisons.csv"
PUBLISHED = "published.csv"
MARKDOWN, LATEX = "summary.md", "summary.tex"
TABLE_FILES = (RESULTS, INTERVALS, COMPARISONS, PUBLISHED, MARKDOWN, LATEX)


def scores_root(study: str) -> Path:
    """Return the folder of a study's raw scores, of all methods and categories, from the root."""
    return scores_folder(study, "", "")


def ranks_folder(study: str) -> Path:
    """Return the folder of a study's mean ranks and critical-difference diagrams, from the root."""
    return Path("reports/ranks") / study
