"""Our PaDiM beside anomalib's on the categories of the study: same backbone, input and images.

Run after the stage `prepare`, with the extra `peers`: `python benchmarks/bench_padim.py`. Both
choose their 100 channels by the seed, each in its own way, unless `--same-channels` lends theirs.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
import typer

from clflow.data.images import resize_mask
from clflow.data.records import Manifest, read_manifest
from clflow.detectors.protocol import Scores, Workspace
from clflow.detectors.registry import find_method
from clflow.metrics.image import image_metrics
from clflow.metrics.pixel import PixelScores
from clflow.pipeline.inputs import image_files
from clflow.pipeline.measure import record_mask
from clflow.pipeline.params import load_study
from clflow.settings import parse
from clflow.study.paths import FEATURES, StudyPaths
from clflow.synthesis.training_data import TrainingData

METHODS = ("padim", "anomalib.padim")


def fitted(method: str, data: TrainingData, seed: int, channels: torch.Tensor | None) -> Any:
    """Return a method's detector with its default settings, fitted."""
    found = find_method(method)
    settings = parse(found.settings_model, found.complete({}), f"train.{method}")
    detector = found.detector_class()(settings)
    if channels is not None:
        from clflow.detectors.gaussian import detector as module

        module.choose_channels = lambda *_: channels
    return detector.fit(data, torch.Generator().manual_seed(seed), Workspace(features=FEATURES))


def measured(scores: Scores, manifest: Manifest, root: Path) -> dict[str, float | None]:
    """Return image and pixel AUROC and AUPRO, masks at the input size."""
    pixels = PixelScores()
    for record, found in zip(manifest.test, scores.anomaly_maps, strict=True):
        mask = record_mask(record, root) if record.label else None
        if not record.label or mask is not None:
            pixels.add(found, None if mask is None else resize_mask(mask, *found.shape))
    labels = np.array([record.label for record in manifest.test])
    image = image_metrics(labels, scores.image_scores)["image_auroc"]
    all_pixels = pixels.metrics()
    return {"image": image, "pixel": all_pixels["pixel_auroc"], "AUPRO": all_pixels["aupro_30"]}


def main(seed: int = 0, same_channels: bool = False) -> None:
    """Print one row per category and method as Markdown."""
    cv2.setNumThreads(1)
    study = load_study()
    rows = []
    for category in study.categories:
        root = study.root_of(category)
        manifest = read_manifest(StudyPaths(study.name).manifest(category))
        data = TrainingData(image_files(root, manifest.train))
        theirs = fitted("anomalib.padim", data, seed, None)
        ours = fitted("padim", data, seed, theirs.model_.idx if same_channels else None)
        for method, detector in zip(METHODS, (ours, theirs), strict=True):
            scores = detector.score(image_files(root, manifest.test), Workspace(features=FEATURES))
            values = measured(scores, manifest, root)
            rows.append({"category": category, "method": method, **values})
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".4f"))


if __name__ == "__main__":
    typer.run(main)
