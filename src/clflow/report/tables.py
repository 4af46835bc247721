"""Mean ranks of the methods over categories, and a diagram of each metric that has enough."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from clflow.errors import DataError
from clflow.files import atomic_folder, write_json, write_text
from clflow.metrics.registry import METRICS
from clflow.report.evidence import Report, gather_evidence
from clflow.report.latex import render_latex
from clflow.report.markdown import render_markdown
from clflow.report.published import ours_of, published_table
from clflow.report.results import csv_text, tidy
from clflow.report.scores import read_scores
from clflow.report.settings import TabulateSettings
from clflow.report.style import Diagram, draw
from clflow.report.summary import Summary, mean_metrics, summarize
from clflow.report.tests import category_values, rankable
from clflow.statistics.comparison import friedman, mean_ranks, nemenyi
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
_NOTHING: Mapping[str, Any] = {}


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
    train: Mapping[str, Any] = _NOTHING,
) -> Report:
    """Write the tables of a study into `out`, and return what they were made from.

    A run that is missing is shown and flagged. `train` is the section of that name: it says with
    what backbone and input size our values were made.

    Raises:
        DataError: all runs are missing, or one is malformed, of another data set, or does not fit
            its raw scores.
    """
    report = read_study(study, sources, settings, train)
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
    train: Mapping[str, Any] = _NOTHING,
) -> Report:
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
    ours = ours_of(study, train)
    published = published_table(study.dataset, results, settings.published, ours)
    return Report(study.name, study.dataset, runs, results, evidence, ours, published, settings)


COLUMNS = ("metric", "method", "mean_rank", "categories", "critical_difference", "friedman_p")
RANKS = "ranks.csv"


def write_ranks(report: Report, folder: Path) -> None:
    """Write ranks.csv and, for three methods and five categories or more, a diagram per metric.

    The diagrams are SVG and PNG files named by the metric.
    """
    summaries = [
        summarize(report.results, name)
        for name in report.settings.metrics
        if METRICS[name].better is not None
    ]
    with atomic_folder(folder) as partial:
        rows = [row for summary in summaries for row in _rows(summary, report)]
        write_text(partial / RANKS, csv_text(pd.DataFrame(rows, columns=list(COLUMNS))))
        for summary in summaries:
            diagram = _diagram(summary, report)
            if diagram is not None:
                draw(diagram, partial / summary.metric.name)


def _rows(summary: Summary, report: Report) -> list[tuple[object, ...]]:
    values = category_values(summary)
    if not len(values):
        return []
    diagram = _diagram(summary, report)
    tests = (diagram.critical_difference, diagram.friedman_p) if diagram else (None, None)
    ranks = mean_ranks(values)
    return [
        (summary.metric.name, method, rank, len(values), *tests)
        for method, rank in zip(summary.methods, ranks.tolist(), strict=True)
    ]


def _diagram(summary: Summary, report: Report) -> Diagram | None:
    values = category_values(summary)
    if not rankable(values):
        return None
    significance = report.settings.significance
    test = nemenyi(values, significance)
    return Diagram(
        title=f"{summary.metric.title}, {len(values)} categories",
        methods=tuple(summary.methods),
        mean_ranks=tuple(test.mean_ranks.tolist()),
        critical_difference=test.critical_difference,
        friedman_p=friedman(values).p,
        significance=significance,
    )
