"""Times the exact pixel metrics on random maps, and scikit-learn's on the same pixels."""

import time
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score, roc_auc_score

from clflow.metrics.pimo import PimoScores
from clflow.metrics.pixel import PixelScores
from clflow.pipeline.machine import peak_resident_bytes

Image = tuple[NDArray[np.float32], NDArray[np.bool_] | None]

# the test set of pill, the largest of MVTec AD
MVTEC_MAPS, MVTEC_SIDE = 167, 1024


def random_image(rng: np.random.Generator, side: int, defective: bool) -> Image:
    """Return a noise map [side, side]; a defect covers 4 % of it and scores one sigma higher."""
    score_map = rng.standard_normal((side, side), dtype=np.float32)
    if not defective:
        return score_map, None
    row, column = rng.integers(0, side - side // 5, size=2)
    mask = np.zeros((side, side), dtype=bool)
    mask[row : row + side // 5, column : column + side // 5] = True
    score_map[mask] += 1
    return score_map, mask


def seconds(work: Callable[[], Any]) -> float:
    """Return the CPU time of one call, which other load on the machine hardly moves."""
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(images: list[Image]) -> None:
    """Collect and measure as a pipeline does."""
    pixels, pimo = PixelScores(), PimoScores()
    for score_map, mask in images:
        pixels.add(score_map, mask)
        pimo.add(score_map, mask)
    pixels.metrics()
    pimo.measure()


def joined(images: list[Image]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return the labels and scores of all pixels, as scikit-learn takes them."""
    masks = [np.zeros(m.shape, dtype=bool) if mask is None else mask for m, mask in images]
    scores = [score_map.ravel() for score_map, _ in images]
    return np.concatenate([mask.ravel() for mask in masks]), np.concatenate(scores)


def compare(count: int, side: int) -> list[str]:
    """Return a table row: maps, ours for all six metrics, scikit-learn's AUROC and AP."""
    rng = np.random.default_rng(0)
    images = [random_image(rng, side, defective=index % 3 > 0) for index in range(count)]
    labels, scores = joined(images)
    times = [
        seconds(lambda: measure(images)),
        seconds(lambda: roc_auc_score(labels, scores)),
        seconds(lambda: average_precision_score(labels, scores)),
    ]
    return [f"{count} x {side} x {side}", *(f"{value:.2f}" for value in times)]


def peak_mib() -> float:
    """Return the peak resident memory of this process."""
    return peak_resident_bytes() / 2**20


def large_category(count: int, side: int) -> str:
    """Return time and memory of a category whose maps are all held, as a detector returns them."""
    rng, base = np.random.default_rng(0), peak_mib()
    images = [random_image(rng, side, defective=index % 3 > 0) for index in range(count)]
    held = peak_mib()
    spent = seconds(lambda: measure(images))
    return (
        f"{count} x {side} x {side}: {spent:.2f} CPU s, peak memory {peak_mib():.0f} MiB, of which "
        f"{base:.0f} before and {held - base:.0f} for the maps and masks"
    )


def main(
    maps: Annotated[list[int], typer.Option(help="Numbers of maps to time.")] = [150, 582],  # noqa: B006
    side: Annotated[int, typer.Option(help="Side of a map in pixels.")] = 256,
    large: Annotated[bool, typer.Option(help="Measure a category at 1024 x 1024.")] = True,
) -> None:
    """Print a table of times in seconds, and the peak memory of a category at full size."""
    if large:
        # First, since the peak of a process never falls again.
        print(large_category(MVTEC_MAPS, MVTEC_SIDE))
    table = Table("maps", "clflow, all six", "sklearn AUROC", "sklearn AP", title="CPU seconds")
    for count in maps:
        table.add_row(*compare(count, side))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
