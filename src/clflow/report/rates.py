"""ROC and PRO curves: a line per method, the mean over seeds, with each seed as a thin line."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from clflow.report.curves import MethodScores, RateCurve, SeedScores, mean_curve, roc_curve
from clflow.report.style import GREY, line_look, new_figure

PRO_LIMIT = 0.3

_PLOT_INCHES = 2.75
_ENTRY_INCHES = 0.15


@dataclass(frozen=True, eq=False)
class Line:
    """A method's curves, one for each seed that has one; without any, the label says why."""

    label: str
    place: int
    curves: tuple[RateCurve, ...]


@dataclass(frozen=True, eq=False)
class RateChart:
    """Lines over false-positive rates up to `limit`; `notice` is written where there are none."""

    title: str
    legend: str
    x_label: str
    y_label: str
    limit: float
    lines: tuple[Line, ...]
    notice: str


def roc_chart(category: str, methods: Sequence[MethodScores], seeds: Sequence[int]) -> RateChart:
    """Return the ROC curves of images; labels give the AUROC, mean and standard deviation."""
    return RateChart(
        title=f"{category}: images, {_seeds_in_words(seeds)}",
        legend="image AUROC" if len(seeds) == 1 else "image AUROC, standard deviation over seeds",
        x_label="false-positive rate (images)",
        y_label="true-positive rate (images)",
        limit=1.0,
        lines=tuple(_roc_line(method, len(seeds)) for method in methods),
        notice="ROC is not defined",
    )


def pro_chart(
    category: str, methods: Sequence[MethodScores], seeds: Sequence[int]
) -> RateChart | None:
    """Return the PRO curves up to a false-positive rate of 0.3, None without a file of curves."""
    if not any(method.regions for method in methods):
        return None
    return RateChart(
        title=f"{category}: regions, {_seeds_in_words(seeds)}",
        legend="",
        x_label="false-positive rate (pixels)",
        y_label="mean overlap per region",
        limit=PRO_LIMIT,
        lines=tuple(_pro_line(method, len(seeds)) for method in methods),
        notice="PRO is not defined",
    )


def draw_rates(chart: RateChart) -> Figure:
    """Draw a chart at column width, the legend below it."""
    entries = len(chart.lines)
    figure = new_figure(
        _PLOT_INCHES + _ENTRY_INCHES * (entries + bool(chart.legend)), layout="constrained"
    )
    axes = figure.add_subplot()
    axes.set(title=chart.title, xlabel=chart.x_label, ylabel=chart.y_label)
    axes.set_xlim(-0.01 * chart.limit, 1.01 * chart.limit)
    axes.set_ylim(-0.01, 1.01)
    if chart.limit == 1:
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.6, zorder=1)
    handles = [_draw_line(axes, line) for line in chart.lines]
    if not any(line.curves for line in chart.lines):
        axes.text(chart.limit / 2, 0.5, chart.notice, ha="center", va="center", backgroundcolor="w")
    figure.legend(handles=handles, title=chart.legend, loc="outside lower center", alignment="left")
    return figure


def _draw_line(axes: Axes, line: Line) -> Line2D:
    """Draw a method's curves, and return what stands for it in the legend."""
    if not line.curves:
        return Line2D([], [], linestyle="none", label=line.label)
    look = line_look(line.place)
    if len(line.curves) > 1:
        for curve in line.curves:
            axes.plot(curve.fpr, curve.hit, **look, linewidth=0.5, alpha=0.4, zorder=2)
    mean = mean_curve(line.curves)
    (handle,) = axes.plot(mean.fpr, mean.hit, **look, linewidth=1.4, label=line.label, zorder=3)
    return handle


def _roc_line(method: MethodScores, asked: int) -> Line:
    flaws = [_roc_flaw(scores) for scores in method.seeds.values()]
    drawn = [s for s, flaw in zip(method.seeds.values(), flaws, strict=True) if flaw is None]
    if not drawn:
        return Line(f"{method.method}: {flaws[0] if flaws else 'no scores'}", method.place, ())
    curves = tuple(roc_curve(scores.anomalous, scores.test) for scores in drawn)
    remarks = [
        _share(len(drawn), asked),
        "all scores equal" if any(scores.constant for scores in drawn) else "",
    ]
    label = f"{method.method} {_mean_and_deviation(curves)}{_in_brackets(remarks)}"
    return Line(label, method.place, curves)


def _roc_flaw(scores: SeedScores) -> str | None:
    return scores.flaw or (f"{scores.only} test images only" if scores.only else None)


def _pro_line(method: MethodScores, asked: int) -> Line:
    found = tuple(curve for curve in method.regions.values() if curve is not None)
    if not found:
        why = "not defined" if method.regions else "no curves"
        return Line(f"{method.method}: {why}", method.place, ())
    # no area: that of curves with few vertices is not quite the one of the tables
    label = f"{method.method}{_in_brackets([_share(len(found), asked)])}"
    return Line(label, method.place, found)


def _mean_and_deviation(curves: Sequence[RateCurve]) -> str:
    areas = [curve.area for curve in curves]
    mean = f"{np.mean(areas):.3f}"
    return f"{mean} ± {np.std(areas, ddof=1):.3f}" if len(areas) > 1 else mean


def _share(found: int, asked: int) -> str:
    return "" if found == asked else f"{found} of {asked} seeds"


def _in_brackets(remarks: Sequence[str]) -> str:
    said = [remark for remark in remarks if remark]
    return f" ({', '.join(said)})" if said else ""


def _seeds_in_words(seeds: Sequence[int]) -> str:
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"mean of {len(seeds)} seeds, each thin"
