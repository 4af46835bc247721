"""Training time, inference speed and size of each method of the study, on one prepared category.

Run after `dvc repro` (manifest and bank are read): `python benchmarks/bench_detectors.py bottle`.
Nothing is cached: training includes the features of all images, inference reads images from disk.
"""

import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch
import typer

from clflow.data.records import read_manifest
from clflow.detectors.device import pick_device
from clflow.detectors.inputs import image_files, training_data
from clflow.detectors.registry import find_method
from clflow.params import parse, read_params, section
from clflow.paths import bank_folder, manifest_path
from clflow.study.settings import StudySettings


def measure(study: StudySettings, method: str, category: str) -> dict[str, float | str]:
    """Return the costs of one method: seconds, images per second, parameters, MiB on disk."""
    found = find_method(method)
    complete = found.complete(section(read_params(), f"train.{method}"))
    settings = parse(found.settings_model, complete, f"train.{method}")
    manifest = read_manifest(manifest_path(study.name, category))
    root = Path(study.root)
    data = training_data(manifest, root, bank_folder(study.name, category))
    start = time.perf_counter()
    detector = found.detector_class()(settings).fit(data, torch.Generator().manual_seed(0))
    trained = time.perf_counter()
    images = image_files(root, manifest.test)
    detector.score(images)
    scored = time.perf_counter()
    return {
        "method": method,
        "training images": len(data.good),
        "training, features included (s)": trained - start,
        "inference (images/s)": len(images) / (scored - trained),
        "trained parameters": sum(p.numel() for p in detector.densities_.parameters()),
        "model on disk (MiB)": size_on_disk(detector) / 2**20,
    }


def size_on_disk(detector: object) -> int:
    """Return the bytes a saved detector takes."""
    with tempfile.TemporaryDirectory() as folder:
        detector.save(Path(folder))  # type: ignore[attr-defined]
        return sum(path.stat().st_size for path in Path(folder).iterdir())


def machine() -> Iterator[tuple[str, object]]:
    """Yield what the figures depend on."""
    yield "device", pick_device().type
    yield "threads", torch.get_num_threads()
    yield "cores", os.cpu_count()
    yield "processor", platform.processor() or platform.machine()
    yield "torch", torch.__version__.split("+")[0]


def main(category: str, method: list[str] | None = None) -> None:
    """Print one row per method as Markdown."""
    study = parse(StudySettings, section(read_params(), "study"), "study")
    rows = [measure(study, name, category) for name in method or study.methods]
    print(json.dumps(dict(machine())))
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".1f", intfmt=","))


if __name__ == "__main__":
    typer.run(main)
