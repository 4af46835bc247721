"""Seconds to train `clflow` and anomalib's PatchCore, with its own coreset and with the quick one.

Run after the stage `synthesize`, with the extra `peers`: `python benchmarks/bench_training.py
bottle`. Each training is a process of its own with nothing cached, as in the stage `cost`. Both
coresets pick the same patches, as many as params.yaml says, or a tenth as anomalib does by default.
"""

import tempfile
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import typer

from clflow.detectors.registry import find_method, merged
from clflow.pipeline.cost import Job, train
from clflow.pipeline.params import load_params
from clflow.pipeline.settings import TimingSettings
from clflow.study.settings import StudySettings

TENTH = {"parameters": {"coreset_sampling_ratio": 0.1}}
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "clflow": ("clflow", {}),
    "PatchCore, quick coreset": ("anomalib.patchcore", {"coreset": "quick"}),
    "PatchCore, anomalib's coreset": ("anomalib.patchcore", {"coreset": "own"}),
    "PatchCore, quick coreset, 10 %": ("anomalib.patchcore", {"coreset": "quick"} | TENTH),
    "PatchCore, anomalib's coreset, 10 %": ("anomalib.patchcore", {"coreset": "own"} | TENTH),
}


def main(categories: list[str], threads: int = 2) -> None:
    """Print one row per training and one column per category as Markdown."""
    params = load_params()
    study = params.study
    rows = []
    for label, (method, options) in ROWS.items():
        given = merged(params.overrides(method), options)
        settings = find_method(method).complete(given)
        times = {f"{c} (s)": seconds(study, c, method, settings, threads) for c in categories}
        rows.append({"training": label} | times)
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".1f"))


def seconds(
    study: StudySettings, category: str, method: str, settings: dict[str, Any], threads: int
) -> float:
    """Return how long one training takes, features included."""
    job = Job(
        study=study.name,
        dataset=study.dataset,
        root=study.root_of(category),
        category=category,
        method=method,
        settings=settings,
        timing=TimingSettings(threads=threads),
    )
    with tempfile.TemporaryDirectory() as folder, get_context("spawn").Pool(1) as pool:
        return pool.apply(train, (job, Path(folder))).seconds


if __name__ == "__main__":
    typer.run(main)
