"""How far a plain mean image gets on the categories of the study: image AUROC of its z-map.

Run after `dvc repro`: `python benchmarks/bench_baseline.py`. Images are grey, 64 x 64; each pixel
is compared with its mean and standard deviation over the training images; the image score is the
maximum or the mean of the map.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import typer

from clflow.data.images import read_image, resize_image
from clflow.data.records import Record, read_manifest
from clflow.metrics.image import image_metrics
from clflow.pipeline.params import load_study
from clflow.study.paths import StudyPaths

SIDE = 64


def grey(root: Path, records: Sequence[Record]) -> np.ndarray:
    """Return the images as float [N, 64, 64]."""
    images = (resize_image(read_image(root / record.path), SIDE, SIDE) for record in records)
    return np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(float) for image in images])


def main() -> None:
    """Print one row per category as Markdown."""
    study = load_study()
    rows = []
    for category in study.categories:
        manifest = read_manifest(StudyPaths(study.name).manifest(category))
        root = study.root_of(category)
        train, test = (grey(root, part) for part in (manifest.train, manifest.test))
        z = np.abs(test - train.mean(0)) / (train.std(0) + 1)
        labels = [record.label for record in manifest.test]
        auroc = [image_metrics(labels, s)["image_auroc"] for s in (z.max((1, 2)), z.mean((1, 2)))]
        rows.append({"category": category, "maximum": auroc[0], "mean": auroc[1]})
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".3f"))


if __name__ == "__main__":
    typer.run(main)
