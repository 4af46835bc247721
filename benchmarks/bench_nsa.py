"""How fast the NSA detector makes samples, trains and scores, in images per second.

Run after `dvc repro` (manifest and bank are read): `python benchmarks/bench_nsa.py bottle`. Samples
are made in one process on one thread, images already read. A training step is one batch of the
method's size, made before; the optimiser is part of it. Inference is from decoded images to scores
and maps. The last column says how many processes keep up with the training. --threads limits torch.
--processor-time counts seconds of the processor instead of the clock's, for a machine that other
work shares; it is meant for one thread and no GPU.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

import cv2
import numpy as np
import pandas as pd
import torch
import typer
from threadpoolctl import threadpool_limits

from clflow.data.images import ArrayImages
from clflow.data.records import read_manifest
from clflow.detectors.nsa.detector import NSADetector
from clflow.detectors.nsa.network import build_network, label_loss, mixed, uses_bfloat16
from clflow.detectors.nsa.samples import Samples, batches, epoch_keys
from clflow.detectors.nsa.settings import NSADetectorSettings
from clflow.detectors.nsa.training import prepare
from clflow.detectors.registry import find_method
from clflow.device import pick_device, prepare_torch
from clflow.pipeline.inputs import image_files, training_data
from clflow.pipeline.machine import describe_machine, synchronise
from clflow.pipeline.params import load_params, load_study
from clflow.settings import parse
from clflow.study.paths import StudyPaths
from clflow.study.settings import StudySettings

SCORED = 32


@dataclass(frozen=True)
class Timing:
    """How often is measured, by which clock, and on which device."""

    repeats: int
    clock: Callable[[], float]
    device: torch.device

    def median_seconds(self, work: Callable[[], object]) -> float:
        """Return the median of the runs after one that does not count."""
        times = []
        for _ in range(self.repeats + 1):
            synchronise(self.device)
            start = self.clock()
            work()
            synchronise(self.device)
            times.append(self.clock() - start)
        return float(np.median(times[1:]))


def made_per_second(samples: Samples, timing: Timing) -> float:
    """Return how many samples one process makes in a second."""
    epochs = count()

    def make() -> None:
        epoch = next(epochs)
        for index in range(len(samples)):
            samples[epoch, index]

    with threadpool_limits(1, "blas"):
        return len(samples) / timing.median_seconds(make)


def trained_per_second(samples: Samples, settings: NSADetectorSettings, timing: Timing) -> float:
    """Return how many images a second are trained on, their samples made before."""
    keys = epoch_keys(0, 0, len(samples), settings.training.batch_size)[:1]
    (batch,) = batches(samples, keys, 0, timing.device)
    network = build_network(torch.Generator().manual_seed(0)).to(timing.device)
    optimizer = torch.optim.Adam(network.parameters())
    bfloat16 = uses_bfloat16(settings.precision, timing.device)
    images, labels = batch

    def step() -> None:
        with mixed(timing.device, bfloat16=bfloat16):
            output = network(images)
        optimizer.zero_grad(set_to_none=True)
        label_loss(output, labels, settings.label).backward()
        optimizer.step()

    network.train()
    return len(images) / timing.median_seconds(step)


def scored_per_second(images: ArrayImages, settings: NSADetectorSettings, timing: Timing) -> float:
    """Return how many decoded images are scored in a second."""
    detector = NSADetector(settings)
    # how well it scores does not matter here
    detector.seed_ = 0
    return len(images) / timing.median_seconds(lambda: detector.score(images))


def rows(
    study: StudySettings, method: str, category: str, timing: Timing
) -> Iterator[dict[str, Any]]:
    """Yield the speeds in full and in mixed precision."""
    found = find_method(method)
    complete = found.complete(load_params().overrides(method))
    settings = parse(NSADetectorSettings, complete, f"train.{method}")
    manifest = read_manifest(StudyPaths(study.name).manifest(category))
    root = study.root_of(category)
    data = training_data(manifest, root, StudyPaths(study.name).bank(category))
    _, samples = prepare(data, settings, 0)
    files = image_files(root, manifest.test[:SCORED])
    images = ArrayImages([files[index] for index in range(len(files))])
    made = made_per_second(samples, timing)
    precisions: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16")
    for precision in precisions:
        chosen = settings.model_copy(update={"precision": precision})
        trained = trained_per_second(samples, chosen, timing)
        yield {
            "category": category,
            "precision": precision,
            "samples made, one process": made,
            "trained": trained,
            "scored": scored_per_second(images, chosen, timing),
            "made / trained": made / trained,
            "processes needed": int(np.ceil(trained / made)),
        }


def main(
    categories: list[str],
    method: str = "nsa",
    repeats: int = 3,
    threads: int | None = None,
    processor_time: bool = False,
) -> None:
    """Print one row per category and precision as Markdown."""
    prepare_torch()
    cv2.setNumThreads(1)
    if threads is not None:
        torch.set_num_threads(threads)
    study = load_study()
    clock = time.process_time if processor_time else time.perf_counter
    timing = Timing(repeats, clock, pick_device())
    found = [row for category in categories for row in rows(study, method, category, timing)]
    machine = describe_machine(pick_device())
    print("\n" + ", ".join(f"{name} {machine[name]}" for name in ("device", "gpu", "processor")))
    seconds = "of the processor" if processor_time else "by the clock"
    print(
        f"{machine['threads']} of {machine['cores']} cores, load {machine['load_average']}, "
        f"seconds {seconds}\n"
    )
    print(pd.DataFrame(found).to_markdown(index=False, floatfmt=(".1f",) * 5 + (".2f", ".0f")))


if __name__ == "__main__":
    typer.run(main)
