"""The statistics of anomalies on a terminal."""

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_COLUMNS = ("images", "area %", "regions", "contrast", "change", "x", "y")
_NOTE = (
    "area, contrast, change: median, below it 5 % to 95 %; regions: mean and most; x, y of the "
    "centre as fractions of the image: mean and standard deviation. In grey levels: contrast is a "
    "region's mean against that of a ring around it, change is the difference from the good image "
    "inside the mask."
)


def print_statistics(console: Console, title: str, statistics: pd.DataFrame) -> None:
    """Print a table made by `clflow.gallery.statistics.summarize`, two lines for each group."""
    table = Table(
        title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.add_column("", overflow="fold")
    for name in _COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for _, line in statistics.iterrows():
        table.add_row(Text(str(line["group"])), *_cells(line))
    console.print(table)
    console.print(Text(_NOTE))


def _cells(line: "pd.Series[float]") -> list[str]:
    return [
        str(line["images"]),
        _range(line, "area", 100),
        f"{line['regions_mean']:.2f}\n{line['regions_max']}",
        _range(line, "contrast"),
        _range(line, "change"),
        _spread(line, "x"),
        _spread(line, "y"),
    ]


def _range(line: "pd.Series[float]", name: str, scale: float = 1) -> str:
    if pd.isna(line[f"{name}_median"]):
        return "-"
    median, low, high = (scale * line[f"{name}_{part}"] for part in ("median", "p05", "p95"))
    return f"{median:.3g}\n{low:.3g}-{high:.3g}"


def _spread(line: "pd.Series[float]", axis: str) -> str:
    mean, spread = line[f"{axis}_mean"], line[f"{axis}_std"]
    if pd.isna(mean):
        return "-"
    return f"{mean:.2f}" if pd.isna(spread) else f"{mean:.2f}\n±{spread:.2f}"
