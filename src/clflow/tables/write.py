"""The tabulate stage: from the runs and raw scores of a study to its tables and figures."""

from dataclasses import dataclass
from pathlib import Path

from clflow.errors import DataError
from clflow.files import write_text
from clflow.study.settings import StudySettings
from clflow.tables.evidence import gather_evidence
from clflow.tables.latex import render_latex
from clflow.tables.markdown import render_markdown
from clflow.tables.report import Report
from clflow.tables.results import csv_text, tidy
from clflow.tables.runs import read_available_runs
from clflow.tables.scores import read_scores
from clflow.tables.settings import TabulateSettings

RESULTS, INTERVALS, COMPARISONS = "results.csv", "intervals.csv", "comparisons.csv"
MARKDOWN, LATEX = "summary.md", "summary.tex"
TABLE_FILES = (RESULTS, INTERVALS, COMPARISONS, MARKDOWN, LATEX)


@dataclass(frozen=True)
class Sources:
    """results/runs/<study> and scores/<study>."""

    results: Path
    scores: Path


def write_tables(
    study: StudySettings, sources: Sources, settings: TabulateSettings, out: Path
) -> Report:
    """Write the tables of a study into `out`, and return what they were made from.

    A run that is missing is shown and flagged.

    Raises:
        DataError: all runs are missing, or one is malformed, of another data set, or does not fit
            its raw scores.
    """
    report = read_report(study, sources, settings)
    texts = {
        RESULTS: csv_text(report.results),
        INTERVALS: csv_text(report.evidence.intervals),
        COMPARISONS: csv_text(report.evidence.comparisons),
        MARKDOWN: render_markdown(report),
        LATEX: render_latex(report),
    }
    for name, text in texts.items():
        write_text(out / name, text)
    return report


def read_report(study: StudySettings, sources: Sources, settings: TabulateSettings) -> Report:
    """Read runs and scores of a study and test what they say.

    Raises:
        DataError: as `write_tables`.
    """
    runs = read_available_runs(sources.results, study.categories, study.methods, study.seeds)
    for run in runs:
        if run.dataset != study.dataset:
            raise DataError(
                f"the results of {run.method} on {run.category} are of the data set "
                f"{run.dataset!r}, not {study.dataset!r}; run `dvc repro`"
            )
    results = tidy(runs, study.seeds)
    evidence = gather_evidence(runs, results, read_scores(sources.scores, runs), settings)
    return Report(study.name, study.dataset, runs, results, evidence, settings)
