"""How figures look: size, colours, line styles, and files without clock or chance."""

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib import style
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
