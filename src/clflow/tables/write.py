"""The tabulate stage: from the runs of a study to its tables."""

from collections.abc import Sequence
from pathlib import Path

from clflow.errors import DataError
from clflow.files import write_text
from clflow.tables.latex import render_latex
from clflow.tables.markdown import render_markdown
from clflow.tables.results import tidy, write_results
from clflow.tables.runs import read_runs
from clflow.tables.settings import TabulateSettings

RESULTS, MARKDOWN, LATEX = "results.csv", "summary.md", "summary.tex"


def write_tables(
    study_name: str,
    dataset: str,
    results_folder: Path,
    categories: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    settings: TabulateSettings,
    out: Path,
) -> None:
    """Write results.csv, summary.md and summary.tex into `out` from results/runs/<study>.

    Raises:
        DataError: a file or seed is missing, malformed or of another data set.
    """
    runs = read_runs(results_folder, categories, methods, seeds)
    for run in runs:
        if run.dataset != dataset:
            raise DataError(
                f"the results of {run.method} on {run.category} are of the data set "
                f"{run.dataset!r}, not {dataset!r}; run `dvc repro`"
            )
    results = tidy(runs, seeds)
    write_results(results, out / RESULTS)
    write_text(out / MARKDOWN, render_markdown(study_name, dataset, runs, results, settings))
    write_text(out / LATEX, render_latex(study_name, dataset, results, settings))
