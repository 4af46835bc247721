"""The critical-difference diagram of Demsar, JMLR 7 (2006), figure 1, as SVG and PNG.

Methods hang from an axis of mean ranks, the best on the left. A bar joins methods that Nemenyi's
test does not tell apart; all are joined where Friedman's test finds no difference at all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from clflow.files import write_bytes

Build = Callable[[], Figure]

FORMATS = ("svg", "png")
# one column of a two-column paper
COLUMN_INCHES = 3.3
DOTS_PER_INCH = 300

BLACK, GREY = "#000000", "#999999"
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY = "#E69F00", "#56B4E9"
# Okabe and Ito, "Color Universal Design", 2008; without yellow, which is too faint a line on white
_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
_DASHES = ("-", "--", ":", "-.")

# Text stays text and a `$` a `$`; neither a clock, chance nor the user's own style gets in.
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "clflow",
    "text.parse_math": False,
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "legend.frameon": False,
}
_METADATA: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "png": {"Software": None}}


def line_look(place: int) -> dict[str, Any]:
    """Return colour and dashes of the line in a place, all different for the first 28."""
    dashes = _DASHES[place // len(_COLOURS) % len(_DASHES)]
    return {"color": _COLOURS[place % len(_COLOURS)], "linestyle": dashes}


def new_figure(height: float, width: float = COLUMN_INCHES, **options: Any) -> Figure:
    """Return an empty figure of a size in inches, of no window and no global state."""
    figure = Figure(figsize=(width, height), **options)
    FigureCanvasAgg(figure)
    return figure


def save(
    build: Build,
    path: Path,
    formats: Sequence[str] = FORMATS,
    *,
    cropped: bool = False,
) -> None:
    """Write what `build` draws as `path`.svg and `path`.png, or in some of these formats.

    It is called within the style, for each format. A `cropped` figure is as large as what is
    drawn, any other as large as it was made.
    """
    for suffix in formats:
        content = _rendered(build, suffix, cropped)
        write_bytes(path.with_name(f"{path.name}.{suffix}"), content)


def _rendered(build: Build, suffix: str, cropped: bool) -> bytes:
    buffer = BytesIO()
    with style.context(["default", _STYLE]):
        build().savefig(
            buffer,
            format=suffix,
            dpi=DOTS_PER_INCH,
            bbox_inches="tight" if cropped else None,
            metadata=_METADATA[suffix],
        )
    return buffer.getvalue()


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
