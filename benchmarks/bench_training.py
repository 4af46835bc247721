"""Seconds to train `clflow` and anomalib's PatchCore, with its own coreset and with the quick one.

Run after the stage `synthesize`, with the extra `peers`: `python benchmarks/bench_training.py
bottle`. Each training is a process of its own with nothing cached, as in the stage `cost`. Both
coresets pick the same patches.
"""

import tempfile
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import typer

from clflow.cost.measure import Job, train
from clflow.cost.settings import TimingSettings
from clflow.detectors.registry import find_method
from clflow.params import parse, read_params, section
from clflow.study.settings import StudySettings

ROWS = {
    "clflow": ("clflow", {}),
    "PatchCore, quick coreset": ("anomalib.patchcore", {"coreset": "quick"}),
    "PatchCore, anomalib's coreset": ("anomalib.patchcore", {"coreset": "own"}),
}


def main(categories: list[str], threads: int = 2) -> None:
    """Print one row per training and one column per category as Markdown."""
    study = parse(StudySettings, section(read_params(), "study"), "study")
    rows = [
        {"training": label} | {f"{c} (s)": seconds(study, c, *method, threads) for c in categories}
        for label, method in ROWS.items()
    ]
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".1f"))


def seconds(
    study: StudySettings, category: str, method: str, options: dict[str, str], threads: int
) -> float:
    """Return how long one training takes, features included."""
    job = Job(
        study=study.name,
        dataset=study.dataset,
        root=study.root,
        category=category,
        method=method,
        settings=find_method(method).complete(options),
        timing=TimingSettings(threads=threads),
    )
    with tempfile.TemporaryDirectory() as folder, get_context("spawn").Pool(1) as pool:
        return pool.apply(train, (job, Path(folder))).seconds


if __name__ == "__main__":
    typer.run(main)
