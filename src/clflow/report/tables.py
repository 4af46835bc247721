"""The files of the tabulate stage: tables for readers and programs, and numbers for DVC."""

from dataclasses import dataclass
from pathlib import Path

from clflow.errors import DataError
from clflow.files import write_json, write_text
from clflow.report.evidence import Report, gather_evidence
from clflow.report.latex import render_latex
from clflow.report.markdown import render_markdown
from clflow.report.published import ours_of, published_table
from clflow.report.results import csv_text, read_scores, tidy
from clflow.report.settings import TabulateSettings
from clflow.report.summary import mean_metrics
from clflow.study.paths import (
    COMPARISONS,
    INTERVALS,
    LATEX,
    MARKDOWN,
    PUBLISHED,
    RESULTS,
    TABLE_FILES,
)
from clflow.study.paths import METRICS as METRICS_FILE
from clflow.study.runs import read_available_runs
from clflow.study.settings import StudySettings

_DIGITS = 6


@dataclass(frozen=True)
class Sources:
    """results/runs/<study> and scores/<study>."""

    results: Path
    scores: Path


def write_tables(
    study: StudySettings,
    sources: Sources,
    settings: TabulateSettings,
    out: Path,
) -> Report:
    """Write the tables of a study into `out`, and return what they were made from.

    A run that is missing is shown and flagged.

    Raises:
        DataError: all runs are missing, or one is malformed, of another data set, or does not fit
            its raw scores.
    """
    report = read_study(study, sources, settings)
    texts = {
        RESULTS: csv_text(report.results),
        INTERVALS: csv_text(report.evidence.intervals),
        COMPARISONS: csv_text(report.evidence.comparisons),
        PUBLISHED: csv_text(report.published),
        MARKDOWN: render_markdown(report),
        LATEX: render_latex(report),
    }
    for name in TABLE_FILES:
        write_text(out / name, texts[name])
    write_json(out / METRICS_FILE, metric_numbers(report))
    return report


def metric_numbers(report: Report) -> dict[str, dict[str, float]]:
    """Return the means that the tables show by method and metric, without what is undefined."""
    means = mean_metrics(report.results)
    return {
        method: {name: round(own[name], _DIGITS) for name in report.settings.metrics if name in own}
        for method, own in means.items()
    }


def read_study(
    study: StudySettings,
    sources: Sources,
    settings: TabulateSettings,
) -> Report:
    """Read runs and scores of a study and test what they say.

    Raises:
        DataError: as `write_tables`.
    """
    runs = read_available_runs(sources.results, study.category_names, study.methods, study.seeds)
    for run in runs:
        if run.dataset != study.dataset:
            raise DataError(
                f"the results of {run.method} on {run.category} are of the data set "
                f"{run.dataset!r}, not {study.dataset!r}; run `dvc repro`"
            )
    results = tidy(runs, study.seeds)
    evidence = gather_evidence(runs, results, read_scores(sources.scores, runs), settings)
    ours = ours_of(study, runs)
    published = published_table(study.dataset, results, settings.published, ours)
    return Report(study.name, study.dataset, runs, results, evidence, ours, published, settings)
