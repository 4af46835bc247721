"""Mean ranks of the methods over categories, with the critical-difference diagram of each metric.

The diagram is that of Demsar, JMLR 7 (2006), figure 1. Methods hang from an axis of mean ranks, the
best on the left. A bar joins methods that Nemenyi's test does not tell apart; all are joined where
Friedman's test finds no difference at all.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clflow.files import atomic_folder, write_text
from clflow.metrics.registry import METRICS
from clflow.report.evidence import Report
from clflow.report.results import csv_text
from clflow.report.style import new_figure, save
from clflow.report.summary import Summary, summarize
from clflow.report.tests import category_values, rankable
from clflow.statistics.comparison import friedman, mean_ranks, nemenyi

_WIDTH_INCHES = 6.0
_ROW_INCHES = 0.22
_BAR_STEP = 0.35


@dataclass(frozen=True)
class Diagram:
    """Mean ranks of methods, 1 the best, with their critical difference at `significance`."""

    title: str
    methods: tuple[str, ...]
    mean_ranks: tuple[float, ...]
    critical_difference: float
    friedman_p: float
    significance: float

    @property
    def ordered(self) -> list[tuple[float, str]]:
        """Mean rank and method, the best first."""
        return sorted(zip(self.mean_ranks, self.methods, strict=True))

    @property
    def groups(self) -> list[tuple[int, int]]:
        """First and last of each longest run of two or more `ordered` methods not told apart."""
        ranks = [rank for rank, _ in self.ordered]
        if self.friedman_p >= self.significance:
            return [(0, len(ranks) - 1)]
        found: list[tuple[int, int]] = []
        for first, rank in enumerate(ranks):
            last = max(i for i, r in enumerate(ranks) if r - rank < self.critical_difference)
            if last > first and not (found and found[-1][1] >= last):
                found.append((first, last))
        return found


def draw(diagram: Diagram, path: Path) -> None:
    """Write `path`.svg and `path`.png."""
    save(lambda: _figure(diagram), path, cropped=True)


def _figure(diagram: Diagram) -> Figure:
    below = len(diagram.groups) * _BAR_STEP + (len(diagram.methods) + 1) // 2 + 1
    figure = new_figure(_ROW_INCHES * (below + 5), _WIDTH_INCHES)
    axes = figure.add_axes((0, 0, 1, 1))
    count = len(diagram.methods)
    axes.set_xlim(1 - 0.35 * (count - 1), count + 0.35 * (count - 1))
    axes.set_ylim(-below, 4.5)
    axes.axis("off")
    _draw_axis(axes, diagram)
    _draw_methods(axes, diagram)
    _draw_groups(axes, diagram)
    return figure


def _draw_axis(axes: Axes, diagram: Diagram) -> None:
    count = len(diagram.methods)
    axes.plot([1, count], [0, 0], color="black", linewidth=1)
    for rank in range(1, count + 1):
        axes.plot([rank, rank], [0, 0.3], color="black", linewidth=1)
        axes.text(rank, 0.45, str(rank), ha="center", va="bottom")
    width = diagram.critical_difference
    axes.plot([1, 1 + width], [2.2, 2.2], color="black", linewidth=1, marker="|")
    axes.text(1 + width / 2, 2.4, f"critical difference {width:.2f}", ha="center", va="bottom")
    p = f"p = {diagram.friedman_p:.3f}" if diagram.friedman_p >= 0.001 else "p < 0.001"
    axes.text((1 + count) / 2, 3.7, f"{diagram.title}; Friedman {p}", ha="center", va="bottom")


def _draw_methods(axes: Axes, diagram: Diagram) -> None:
    """Hang the better half on the left and the others on the right, outermost ranks highest."""
    count = len(diagram.methods)
    half, start = (count + 1) // 2, len(diagram.groups) * _BAR_STEP + 0.8
    for place, (rank, method) in enumerate(diagram.ordered):
        left = place < half
        level = -start - (place if left else count - 1 - place)
        end = 1 - 0.08 * (count - 1) if left else count + 0.08 * (count - 1)
        axes.plot([rank, rank, end], [0, level, level], color="black", linewidth=0.8)
        label = f"{method} ({rank:.2f})"
        gap = -0.02 * count if left else 0.02 * count
        axes.text(end + gap, level, label, ha="right" if left else "left", va="center")


def _draw_groups(axes: Axes, diagram: Diagram) -> None:
    ranks = [rank for rank, _ in diagram.ordered]
    for place, (first, last) in enumerate(diagram.groups):
        level = -(place + 1) * _BAR_STEP
        ends = [ranks[first] - 0.03, ranks[last] + 0.03]
        axes.plot(ends, [level, level], color="black", linewidth=3, solid_capstyle="butt")


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
