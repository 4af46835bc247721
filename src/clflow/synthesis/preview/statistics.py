"""Area, regions, contrast, change and place of anomalies: measured, summed up, printed."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clflow.data.images import read_image, read_mask
from clflow.progress import track
from clflow.synthesis.preview.sheet import good_twin
from clflow.synthesis.rows import BankRow

ALL = "all"

_COLUMNS = ("images", "area %", "regions", "contrast", "change", "x", "y")
_NOTE = (
    "area, contrast, change: median, below it 5 % to 95 %; regions: mean and most; x, y of the "
    "centre as fractions of the image: mean and standard deviation. In grey levels: contrast is a "
    "region's mean against that of a ring around it, change is the difference from the good image "
    "inside the mask."
)

# of the image side: 8 pixels of 256
_RING_WIDTH = 1 / 32


@dataclass(frozen=True)
class AnomalyStatistics:
    """One image with an anomaly; NaN where there is nothing to measure.

    area is a fraction of the image; regions are 8-connected; contrast and change are in grey
    levels, means over channels; x and y are the mask's centre as fractions of the image.
    """

    group: str
    area: float
    regions: int
    contrast: float
    change: float
    x: float
    y: float


def measure_anomaly(
    group: str,
    image: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    twin: NDArray[np.uint8] | None = None,
) -> AnomalyStatistics:
    """Measure the masked part [H, W] of an image [H, W, 3]; `twin` is the image without it.

    contrast is how far a region's mean is from that of a ring around it, the mean over regions
    weighted by area; change is the mean absolute difference from the twin inside the mask.
    """
    rows, columns = np.nonzero(mask)
    found = len(rows) > 0
    return AnomalyStatistics(
        group=group,
        area=float(mask.mean()),
        regions=cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] - 1,
        contrast=_contrast(image, mask),
        change=_change(image, twin, mask) if found and twin is not None else np.nan,
        x=float(columns.mean() + 0.5) / mask.shape[1] if found else np.nan,
        y=float(rows.mean() + 0.5) / mask.shape[0] if found else np.nan,
    )


def bank_statistics(rows: Sequence[BankRow], root: Path) -> pd.DataFrame:
    """Return the statistics of a bank, and of each generator where it has several.

    Raises:
        DataError: an image or mask is missing or has changed.
    """
    return summarize_anomalies(
        track((_measure_row(row, root) for row in rows), "measure anomalies", len(rows))
    )


def summarize_anomalies(
    measurements: Iterable[AnomalyStatistics], whole: str = ALL
) -> pd.DataFrame:
    """Return one line for all measurements, named `whole`, and one per group if there are several.

    p05 and p95 are the 5 % and 95 % quantiles, std is the standard deviation (n - 1).
    """
    frame = pd.DataFrame([asdict(one) for one in measurements])
    groups = {} if frame.empty else {str(name): part for name, part in frame.groupby("group")}
    parts = {whole: frame} | (groups if len(groups) > 1 else {})
    lines = [_summary(name, part) for name, part in parts.items() if not part.empty]
    return pd.DataFrame(lines)


def _summary(group: str, frame: pd.DataFrame) -> dict[str, object]:
    values: dict[str, object] = {"group": group, "images": len(frame)}
    values |= _quantiles(frame, "area")
    values |= {"regions_mean": frame["regions"].mean(), "regions_max": frame["regions"].max()}
    values |= _quantiles(frame, "contrast") | _quantiles(frame, "change")
    for axis in ("x", "y"):
        values |= {f"{axis}_mean": frame[axis].mean(), f"{axis}_std": frame[axis].std()}
    return values


def _quantiles(frame: pd.DataFrame, name: str) -> dict[str, object]:
    shares = {"median": 0.5, "p05": 0.05, "p95": 0.95}
    return {f"{name}_{label}": frame[name].quantile(share) for label, share in shares.items()}


def _measure_row(row: BankRow, root: Path) -> AnomalyStatistics:
    mask = read_mask(row.mask, row.shape)
    return measure_anomaly(row.generator, read_image(row.image), mask, good_twin(row, root))


def _change(image: NDArray[np.uint8], twin: NDArray[np.uint8], mask: NDArray[np.bool_]) -> float:
    return float(cv2.absdiff(image, twin)[mask].mean())


def _contrast(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> float:
    reach = max(1, round(max(mask.shape) * _RING_WIDTH))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    found = [
        (_region_contrast(image, mask, labels == number, box, reach), int(box[cv2.CC_STAT_AREA]))
        for number, box in enumerate(stats[1:], start=1)
    ]
    seen = [(contrast, area) for contrast, area in found if not np.isnan(contrast)]
    if not seen:
        return np.nan
    contrasts, areas = zip(*seen, strict=True)
    return float(np.average(contrasts, weights=areas))


def _region_contrast(
    image: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    region: NDArray[np.bool_],
    box: NDArray[np.int32],
    reach: int,
) -> float:
    """Return |mean of a region - mean of the unmasked pixels within `reach` of it|."""
    left, top, width, height = (int(value) for value in box[:4])
    window = np.s_[
        max(0, top - reach) : top + height + reach, max(0, left - reach) : left + width + reach
    ]
    inside = region[window]
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    ring = (cv2.dilate(inside.astype(np.uint8), disk) > 0) & ~mask[window]
    if not ring.any():
        return np.nan
    pixels = image[window]
    return float(np.abs(pixels[inside].mean(axis=0) - pixels[ring].mean(axis=0)).mean())


def print_statistics(console: Console, title: str, statistics: pd.DataFrame) -> None:
    """Print a table made by `summarize_anomalies`, two lines for each group."""
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
