"""Compares the exact AUPRO and AUPIMO with anomalib's, value and CPU time; prints Markdown.

Needs anomalib 2.7, best in an environment of its own, with `src` on PYTHONPATH:
`python benchmarks/bench_aupro.py --category path/to/mvtec_ad/bottle`.

AUPRO of anomalib 2.7 follows the same definition in float32: all thresholds, 8-connected regions,
interpolated at the limit. Its AUPIMO takes thresholds evenly spaced between the lowest and the
highest good score, 300 000 by default, and integrates by trapezoids between the samples nearest to
the bounds; it approaches the exact value where the thresholds are dense. It is timed with its
defaults. The time of clflow's AUPRO is that of all its pixel metrics, which it makes together.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import cv2
import numpy as np
import pandas as pd
import torch
import typer
from bench_metrics import Image, random_image
from numpy.typing import NDArray

from clflow.data.images import read_image, read_mask, resize_image, resize_mask
from clflow.features.torchvision_shim import ensure_torchvision
from clflow.metrics.pimo import PimoScores
from clflow.metrics.pixel import AUPRO_LIMITS, PixelScores, aupro_name

BLUR_SIGMA = 4.0
THRESHOLDS = 300_000


def random_maps(count: int, side: int) -> list[Image]:
    """Return noise maps [side, side], two of three with a square defect."""
    rng = np.random.default_rng(0)
    return [random_image(rng, side, defective=index % 3 > 0) for index in range(count)]


def mean_image_maps(category: Path, side: int) -> list[Image]:
    """Return blurred distances of the test images from the mean training image, and their masks.

    `category` is laid out like MVTec AD; maps are float32 [side, side].
    """
    train = [_pixels(path, side) for path in sorted((category / "train" / "good").iterdir())]
    mean = np.mean(train, axis=0)
    images: list[Image] = []
    for path in sorted((category / "test").glob("*/*")):
        distance = np.abs(_pixels(path, side) - mean).mean(axis=2)
        score_map = cv2.GaussianBlur(distance.astype(np.float32), (0, 0), BLUR_SIGMA)
        images.append((score_map, _mask(category, path, side)))
    return images


def _pixels(path: Path, side: int) -> NDArray[np.float64]:
    return resize_image(read_image(path), side, side).astype(np.float64)


def _mask(category: Path, path: Path, side: int) -> NDArray[np.bool_] | None:
    if path.parent.name == "good":
        return None
    place = category / "ground_truth" / path.parent.name / f"{path.stem}_mask.png"
    return resize_mask(read_mask(place, read_image(path).shape[:2]), side, side)


def clflow_metrics(images: list[Image]) -> dict[str, float | None]:
    """Return all pixel metrics."""
    pixels = PixelScores()
    for score_map, mask in images:
        pixels.add(score_map, mask)
    return pixels.metrics()


def clflow_aupimo(images: list[Image]) -> NDArray[np.float64]:
    """Return the AUPIMO of each image [N], NaN for good ones."""
    pimo = PimoScores()
    for score_map, mask in images:
        pimo.add(score_map, mask)
    return pimo.measure().per_image


def anomalib_batch(images: list[Image]) -> SimpleNamespace:
    """Return maps of one size and masks as anomalib takes them."""
    masks = [np.zeros(m.shape, dtype=bool) if mask is None else mask for m, mask in images]
    return SimpleNamespace(
        anomaly_map=torch.from_numpy(np.stack([score_map for score_map, _ in images])),
        gt_mask=torch.from_numpy(np.stack(masks)).int(),
    )


def anomalib_aupro(batch: SimpleNamespace, limit: float) -> float:
    """Return anomalib's AUPRO up to a false-positive rate."""
    metrics = anomalib_module()
    aupro = metrics.AUPRO(fields=("anomaly_map", "gt_mask"), fpr_limit=limit)
    aupro.update(batch)
    return float(aupro.compute())


def anomalib_aupimo(batch: SimpleNamespace, thresholds: int = THRESHOLDS) -> NDArray[np.float64]:
    """Return anomalib's AUPIMO of each image [N], NaN for good ones."""
    metrics = anomalib_module()
    aupimo = metrics.AUPIMO(num_thresholds=thresholds, return_average=False)
    aupimo.update(batch)
    _, result = aupimo.compute()
    values: NDArray[np.float64] = result.aupimos.numpy()
    return values


def anomalib_module() -> Any:
    """Import anomalib.metrics, which needs a torchvision that imports."""
    ensure_torchvision()
    import anomalib.metrics

    return anomalib.metrics


def fastest(work: Callable[[], Any], repeats: int) -> tuple[Any, float]:
    """Return the result and the least CPU seconds of several calls."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        result = work()
        times.append(time.process_time() - start)
    return result, min(times)


def compare(images: list[Image], repeats: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each metric; the difference of AUPIMO is the largest of any image."""
    batch = anomalib_batch(images)
    ours, seconds = fastest(lambda: clflow_metrics(images), repeats)
    for limit in AUPRO_LIMITS:
        theirs, their_seconds = fastest(lambda at=limit: anomalib_aupro(batch, at), repeats)  # type: ignore[misc]
        value = ours[aupro_name(limit)]
        yield _row(f"AUPRO at {limit}", value, theirs, abs(value - theirs), seconds, their_seconds)
    own, seconds = fastest(lambda: clflow_aupimo(images), repeats)
    other, their_seconds = fastest(lambda: anomalib_aupimo(batch), 1)
    apart = np.nanmax(np.abs(own - other))
    yield _row("AUPIMO", np.nanmean(own), np.nanmean(other), apart, seconds, their_seconds)


def _row(
    metric: str, ours: float, theirs: float, apart: float, seconds: float, their_seconds: float
) -> dict[str, Any]:
    return {
        "metric": metric,
        "clflow": f"{ours:.7f}",
        "anomalib": f"{theirs:.7f}",
        "difference": f"{apart:.1e}",
        "clflow, CPU s": f"{seconds:.2f}",
        "anomalib, CPU s": f"{their_seconds:.2f}",
        "ratio": f"{their_seconds / seconds:.1f}",
    }


def main(
    maps: Annotated[int, typer.Option(help="Number of random maps.")] = 150,
    side: Annotated[int, typer.Option(help="Side of a map in pixels.")] = 256,
    category: Annotated[
        Path | None, typer.Option(help="Category laid out like MVTec AD, for real maps.")
    ] = None,
    repeats: Annotated[int, typer.Option(help="Calls of which the fastest counts.")] = 3,
) -> None:
    """Print one row per data set and metric, all on one thread."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    anomalib_module()
    named = {f"{maps} random maps of {side}x{side}": random_maps(maps, side)}
    if category is not None:
        real = mean_image_maps(category, side)
        named[f"{len(real)} maps of {category.name}, {side}x{side}"] = real
    rows = [
        {"maps": name, **row} for name, images in named.items() for row in compare(images, repeats)
    ]
    print(pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True))


if __name__ == "__main__":
    typer.run(main)
