"""Milliseconds of the frozen backbone: as timm builds it or lean, freed memory returned or kept.

How the C library hands out memory cannot be taken back, so each choice runs in its own process.
"""

import time
from multiprocessing import get_context
from statistics import median

import pandas as pd
import torch
import typer

from clflow.device import keep_freed_memory
from clflow.features.backbone import Backbone, build_backbone
from clflow.features.registry import BackboneSettings

BATCHES = (1, 16)


def main(name: str = "efficientnet_lite0", size: int = 256, threads: int = 2) -> None:
    """Print the median of each batch size as Markdown."""
    rows = []
    for kept in (False, True):
        with get_context("spawn").Pool(1) as pool:
            rows += pool.apply(measured, (name, size, threads, kept))
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".1f"))


def measured(name: str, size: int, threads: int, kept: bool) -> list[dict[str, str | float]]:
    """Return a row for the backbone as it is and one for its lean copy."""
    if kept:
        keep_freed_memory()
    torch.set_num_threads(threads)
    weights = "bundled" if name == "efficientnet_lite0" else "random"
    backbone = build_backbone(BackboneSettings(name=name, weights=weights))
    networks = {"as timm builds it": backbone, "lean": backbone.lean()}
    return [
        {"backbone": label, "freed memory": "kept" if kept else "returned"}
        | {f"batch {batch} (ms)": milliseconds(network, batch, size) for batch in BATCHES}
        for label, network in networks.items()
    ]


def milliseconds(backbone: Backbone, batch: int, size: int) -> float:
    """Return the median of twenty calls after five to warm up."""
    images = torch.zeros(batch, 3, size, size, dtype=torch.uint8)
    seconds = []
    for _ in range(25):
        start = time.perf_counter()
        backbone(images)
        seconds.append(time.perf_counter() - start)
    return 1000 * median(seconds[5:])


if __name__ == "__main__":
    typer.run(main)
