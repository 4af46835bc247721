"""The coverage of a study: false alarms found on good test images against those promised."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from clflow.files import atomic_folder, write_text
from clflow.metrics.conformal import false_alarm_rates
from clflow.report.curves import MethodScores, RateCurve, Rates, SeedScores, mean_curve
from clflow.report.evidence import Report
from clflow.report.results import csv_text
from clflow.report.style import GREY, line_look, new_figure, save
from clflow.report.summary import OVERALL, summarize

NAME = "coverage"
COLUMNS = ("category", "method", "promised", "found", "low", "high")

_HEIGHT_INCHES = 5.2
_ENTRY_INCHES = 0.15
# of the axis, between points of one promise: they would lie on each other
_APART = 0.012


def alarm_curve(held_out: Rates, good: Rates) -> RateCurve:
    """Return the share of good test images [N] that are called anomalous at each promised rate.

    It is the distribution of their conformal p-values: at most the diagonal, on average over
    held-out images [M], where both are exchangeable.
    """
    rates = np.sort(false_alarm_rates(good, held_out))
    share = np.arange(len(rates) + 1) / len(rates)
    return RateCurve(
        np.concatenate([[0.0], np.repeat(rates, 2), [1.0]]),
        np.concatenate([[0.0], np.repeat(share, 2)[1:-1], [1.0]]),
    )


@dataclass(frozen=True, eq=False)
class Coverage:
    """What is drawn: a row of `COLUMNS` per category and method, and curves of each method.

    A category's curve is the mean over seeds. Methods are in the order of the study.
    """

    points: pd.DataFrame
    curves: dict[str, tuple[RateCurve, ...]]


def study_coverage(report: Report, scores: Sequence[Sequence[MethodScores]]) -> Coverage:
    """Return the coverage of a study; what was measured before there were promises has none.

    Args:
        report: the study.
        scores: of each category, those of every method.
    """
    curves: dict[str, tuple[RateCurve, ...]] = {}
    for methods in scores:
        for method in methods:
            own = tuple(_curves(method.seeds.values()))
            found = curves.setdefault(method.method, ())
            if own:
                curves[method.method] = (*found, mean_curve(own))
    return Coverage(_points(report), curves)


def draw_coverage(coverage: Coverage) -> Figure:
    """Draw both panels below each other at column width, the legend below them."""
    methods = list(coverage.curves)
    figure = new_figure(_HEIGHT_INCHES + _ENTRY_INCHES * len(methods), layout="constrained")
    upper, lower = figure.subplots(2)
    _draw_points(upper, coverage.points, methods)
    _draw_curves(lower, coverage.curves)
    looks = (line_look(place) for place in range(len(methods)))
    handles = [Line2D([], [], label=m, **look) for m, look in zip(methods, looks, strict=True)]
    figure.legend(handles=handles, loc="outside lower center", alignment="left")
    return figure


def write_coverage(
    report: Report, scores: Sequence[Sequence[MethodScores]], folder: Path
) -> Coverage:
    """Write coverage.csv and the figure, as SVG and PNG."""
    coverage = study_coverage(report, scores)
    with atomic_folder(folder) as partial_folder:
        write_text(partial_folder / f"{NAME}.csv", csv_text(coverage.points))
        save(partial(draw_coverage, coverage), partial_folder / NAME)
    return coverage


def _curves(seeds: Iterable[SeedScores]) -> Iterator[RateCurve]:
    """Yield the curve of each seed that has finite scores of held-out and of good test images."""
    for scores in seeds:
        good = scores.test[~scores.anomalous]
        if scores.flaw is None and len(good) and len(scores.held_out):
            yield alarm_curve(scores.held_out, good)


def _points(report: Report) -> pd.DataFrame:
    promised = summarize(report.results, "promised_fpr").mean.to_numpy(dtype=float)
    table = report.evidence.intervals
    own = table[(table["metric"] == "image_fpr") & (table["category"] != OVERALL)]
    values = {
        "category": own["category"],
        "method": own["method"],
        # in the order of the intervals: categories, then methods; the last row is their mean
        "promised": promised[:-1].ravel(),
        "found": own["mean"],
        "low": own["low"],
        "high": own["high"],
    }
    return pd.DataFrame(values, columns=list(COLUMNS)).dropna(ignore_index=True)


def _draw_points(axes: Axes, points: pd.DataFrame, methods: Sequence[str]) -> None:
    """Draw rates with their intervals; those of one promise stand beside each other."""
    right, top = (_limit(points, names) for names in (["promised"], ["promised", "high"]))
    axes.set(title="false alarms on good test images", xlabel="promised rate", ylabel="found rate")
    axes.set(xlim=(0, right), ylim=(-0.01 * top, top))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.6, zorder=1)
    for promised, own in points.groupby("promised"):
        middle = (len(own) - 1) / 2
        for index, row in enumerate(own.to_dict("records")):
            x = float(promised) + (index - middle) * _APART * right  # type: ignore[arg-type]
            colour = line_look(methods.index(row["method"]))["color"]
            axes.vlines(x, row["low"], row["high"], color=colour, linewidth=0.8, alpha=0.6)
            axes.plot([x], [row["found"]], "o", color=colour, markersize=2.5)
    if points.empty:
        axes.text(0.5, 0.5, "nothing was promised", ha="center", va="center")


def _limit(points: pd.DataFrame, columns: list[str]) -> float:
    """Return the end of an axis that shows some columns, with room for points beside each other."""
    highest = float(points[columns].to_numpy(dtype=float).max(initial=0.0))
    return min(1.0, 1.15 * highest) or 1.0


def _draw_curves(axes: Axes, curves: Mapping[str, Sequence[RateCurve]]) -> None:
    """Draw the mean over categories, each category thin."""
    axes.set(title="at every rate: mean over categories, each thin")
    axes.set(xlabel="promised rate", ylabel="found rate", xlim=(0, 1), ylim=(-0.01, 1.01))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.6, zorder=1)
    for place, own in enumerate(curves.values()):
        look = line_look(place)
        if len(own) > 1:
            for curve in own:
                axes.plot(curve.fpr, curve.hit, **look, linewidth=0.5, alpha=0.4, zorder=2)
        if own:
            mean = mean_curve(own)
            axes.plot(mean.fpr, mean.hit, **look, linewidth=1.4, zorder=3)
