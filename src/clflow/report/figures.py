"""The figures stage: all figures of one category."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from clflow.files import atomic_folder
from clflow.metrics.conformal import promise
from clflow.report.curves import MethodScores, SeedScores
from clflow.report.rates import draw_rates, pro_chart, roc_chart
from clflow.report.style import BLACK, BLUE, VERMILION, Build, new_figure, save

_BINS = 30
_PANEL_INCHES = 1.35
_REST_INCHES = 0.55
# Held-out good images are ticks below the bars, each its own: they are few.
_STRIP = 0.12
_COLOURS = {"good": BLUE, "anomalous": VERMILION}


@dataclass(frozen=True, eq=False)
class Panel:
    """What is drawn of a method: nothing where `scores` is None, of which `remark` says why."""

    title: str
    remark: str
    scores: SeedScores | None = None
    threshold: float | None = None


def score_panels(
    methods: Sequence[MethodScores], seeds: Sequence[int], rate: float
) -> tuple[Panel, ...]:
    """Return a panel per method, of its first seed: scores of different models have no common unit.

    The threshold promises a false-alarm `rate`, as in the evaluate stage.
    """
    return tuple(_panel(method, seeds, rate) for method in methods)


def draw_scores(category: str, panels: Sequence[Panel]) -> Figure:
    """Draw the panels below each other at column width, each with an axis of its own."""
    figure = new_figure(_PANEL_INCHES * len(panels) + _REST_INCHES, layout="constrained")
    figure.legend(
        handles=_legend(), loc="outside upper left", ncols=2, title=category, alignment="left"
    )
    rows = figure.subplots(len(panels), squeeze=False)[:, 0]
    for axes, panel in zip(rows, panels, strict=True):
        _draw_panel(axes, panel)
    rows[-1].set_xlabel("raw image score")
    return figure


def _panel(method: MethodScores, seeds: Sequence[int], rate: float) -> Panel:
    seed = next((seed for seed in seeds if seed in method.seeds), None)
    if seed is None:
        return Panel(method.method, "no scores")
    scores, title = method.seeds[seed], f"{method.method}, seed {seed}"
    if scores.flaw:
        return Panel(title, scores.flaw)
    if scores.constant:
        return Panel(title, f"all test scores equal: {scores.test[0]:.6g}")
    if not len(scores.held_out):
        return Panel(title, "no held-out image to set a threshold", scores)
    threshold = promise(scores.held_out, rate).threshold
    return Panel(title, _flagged(scores, threshold), scores, threshold)


def _flagged(scores: SeedScores, threshold: float) -> str:
    above = scores.test > threshold
    parts = [f"{(above & own).sum()} of {own.sum()} {name}" for name, own in _groups(scores)]
    return f"flagged: {', '.join(parts)}"


def _groups(scores: SeedScores) -> list[tuple[str, NDArray[np.bool_]]]:
    return [("good", ~scores.anomalous), ("anomalous", scores.anomalous)]


def _draw_panel(axes: Axes, panel: Panel) -> None:
    if panel.scores is None:
        axes.set(title=panel.title, xticks=[], yticks=[])
        axes.text(0.5, 0.5, panel.remark, ha="center", va="center", transform=axes.transAxes)
        return
    axes.set(title=f"{panel.title}\n{panel.remark}", ylabel="images")
    tallest = _draw_bars(axes, panel.scores)
    _draw_strip(axes, panel.scores.held_out, tallest)
    if panel.threshold is not None:
        axes.axvline(panel.threshold, color=BLACK, linewidth=1, linestyle="--")


def _draw_bars(axes: Axes, scores: SeedScores) -> int:
    """Draw both groups over the same bins, and return the height of the tallest bar."""
    edges = np.histogram_bin_edges(np.concatenate([scores.test, scores.held_out]), _BINS)
    tallest = 1
    for name, group in _groups(scores):
        counts, _ = np.histogram(scores.test[group], edges)
        axes.stairs(counts, edges, fill=True, color=_COLOURS[name], alpha=0.35)
        axes.stairs(counts, edges, color=_COLOURS[name], linewidth=0.8)
        tallest = max(tallest, int(counts.max()))
    return tallest


def _draw_strip(axes: Axes, held_out: NDArray[np.float64], tallest: int) -> None:
    top, bottom = -0.02 * tallest, -_STRIP * tallest
    axes.vlines(held_out, bottom, top, color=BLACK, linewidth=0.7, alpha=0.7)
    axes.set_ylim(1.2 * bottom, 1.05 * tallest)
    axes.set_yticks(
        [tick for tick in MaxNLocator(4, integer=True).tick_values(0, tallest) if tick <= tallest]
    )


def _legend() -> list[Patch | Line2D]:
    bars = [Patch(label=f"test, {name}", color=c, alpha=0.5) for name, c in _COLOURS.items()]
    tick = Line2D(
        [], [], color=BLACK, marker="|", linestyle="none", label="held-out good, one each"
    )
    return [*bars, tick, Line2D([], [], color=BLACK, linestyle="--", label="threshold")]


@dataclass(frozen=True, eq=False)
class CategoryFigures:
    """What is drawn: the methods of a study on a category, and the rate its threshold promises."""

    category: str
    seeds: tuple[int, ...]
    methods: tuple[MethodScores, ...]
    false_alarm_rate: float


def write_figures(
    subject: CategoryFigures, folder: Path, formats: Sequence[str]
) -> tuple[str, ...]:
    """Write roc, scores and, if there are curves of pixels, pro; return the names of these.

    What is missing or not defined is said in the figure that lacks it.
    """
    figures = _figures(subject)
    with atomic_folder(folder) as partial_folder:
        for name, build in figures.items():
            save(build, partial_folder / name, formats)
    return tuple(figures)


def _figures(subject: CategoryFigures) -> dict[str, Build]:
    category, methods, seeds = subject.category, subject.methods, subject.seeds
    panels = score_panels(methods, seeds, subject.false_alarm_rate)
    figures: dict[str, Build] = {
        "roc": partial(draw_rates, roc_chart(category, methods, seeds)),
        "scores": partial(draw_scores, category, panels),
    }
    regions = pro_chart(category, methods, seeds)
    return figures | ({"pro": partial(draw_rates, regions)} if regions else {})
