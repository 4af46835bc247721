"""The tabulate stage: from the runs of a study to its tables."""

from pathlib import Path

from clflow.errors import DataError
from clflow.files import write_text
from clflow.study.settings import StudySettings
from clflow.tables.latex import render_latex
from clflow.tables.markdown import render_markdown
from clflow.tables.results import tidy, write_results
from clflow.tables.runs import read_runs
from clflow.tables.settings import TabulateSettings

RESULTS, MARKDOWN, LATEX = "results.csv", "summary.md", "summary.tex"


def write_tables(
    study: StudySettings, results: Path, settings: TabulateSettings, out: Path
) -> None:
    """Write results.csv, summary.md and summary.tex into `out`; `results` is results/runs/<study>.

    Raises:
        DataError: a file or seed is missing, malformed or of another data set.
    """
    runs = read_runs(results, study.categories, study.methods, study.seeds)
    for run in runs:
        if run.dataset != study.dataset:
            raise DataError(
                f"the results of {run.method} on {run.category} are of the data set "
                f"{run.dataset!r}, not {study.dataset!r}; run `dvc repro`"
            )
    frame = tidy(runs, study.seeds)
    write_results(frame, out / RESULTS)
    write_text(out / MARKDOWN, render_markdown(study.name, study.dataset, runs, frame, settings))
    write_text(out / LATEX, render_latex(study.name, study.dataset, frame, settings))
