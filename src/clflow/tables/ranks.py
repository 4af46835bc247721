"""Mean ranks of the methods over categories, and a diagram of each metric that has enough."""

from pathlib import Path

import pandas as pd

from clflow.figures.critical_difference import Diagram, draw
from clflow.files import atomic_folder, write_text
from clflow.statistics.comparison import friedman, mean_ranks, nemenyi
from clflow.tables.comparisons import category_values, rankable
from clflow.tables.metrics import METRICS
from clflow.tables.report import Report
from clflow.tables.results import csv_text
from clflow.tables.summary import Summary, summarize

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
