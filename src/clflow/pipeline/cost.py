"""The cost stage: one method trained and timed on one category, each in a process of its own."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from clflow.data.images import ArrayImages, resize_image
from clflow.data.records import read_manifest
from clflow.detectors.protocol import Detector, Workspace
from clflow.detectors.registry import Method, find_method
from clflow.device import pick_device, prepare_torch
from clflow.errors import TrainingError
from clflow.files import write_json
from clflow.pipeline.inputs import image_files, training_data
from clflow.pipeline.machine import (
    batch_latency,
    describe_machine,
    detector_size,
    giga_macs,
    memory_since,
    peak_resident_bytes,
    synchronise,
    timed,
    use_threads,
)
from clflow.pipeline.settings import TimingSettings
from clflow.pipeline.train import load_run
from clflow.progress import say, show
from clflow.settings import parse
from clflow.study.cost import BatchLatency, CostReport, Macs, Memory, Size, Training
from clflow.study.paths import WORK, StudyPaths

Result = TypeVar("Result")

PROTOCOL = {
    "parameters": "backbone: the network as timm builds it; additional: all others; total: "
    "both; stored values: statistics and other numbers kept beside parameters",
    "gmacs": "multiply-adds of convolutions, matrix products and attention for one image, half of "
    "torch's count of operations; element-wise operations are not counted",
    "training": "one run, seed 0, nothing cached: features of all images and anomalies are part "
    "of it, making the anomalies and loading the backbone are not",
    "memory": "highest resident set of a fresh process, libraries and mapped files included; on a "
    "GPU also the highest allocation of torch",
    "latency": "detector: from decoded images at their own size to scores and maps in memory, "
    "resizing and transfers included, no file read or hashed; backbone: the same images, resized "
    "before, to feature maps, by the network as timm builds it; calls in turn after warm-up, "
    "synchronised; ratio of the medians",
}


@dataclass(frozen=True)
class Job:
    """A method with complete settings, and the category it is measured on."""

    study: str
    dataset: str
    root: Path
    category: str
    method: str
    settings: dict[str, Any]
    timing: TimingSettings


@dataclass(frozen=True)
class Scoring:
    """What the process that scores finds."""

    machine: dict[str, Any]
    input_size: tuple[int, int]
    size: Size
    gmacs: Macs
    latency: dict[int, BatchLatency]
    memory: Memory


def measure_cost(job: Job) -> CostReport:
    """Train and score in fresh processes; write and return what that costs.

    Raises:
        TrainingError: the run diverged, or a process was killed.
    """
    WORK.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=WORK) as folder:
        training = _in_fresh_process(train, job, Path(folder))
        say(f"{job.method} {job.category}: trained in {training.seconds:.1f} s")
        scoring = _in_fresh_process(score, job, Path(folder))
    report = CostReport(
        study=job.study,
        dataset=job.dataset,
        category=job.category,
        method=job.method,
        settings=job.settings,
        protocol=PROTOCOL,
        machine=scoring.machine,
        input_size=scoring.input_size,
        size=scoring.size,
        gmacs=scoring.gmacs,
        training=training,
        latency=scoring.latency,
        scoring_memory=scoring.memory,
    )
    write_json(StudyPaths(job.study).cost(job.method), report.model_dump(mode="json"))
    return report


def _in_fresh_process(work: Callable[[Job, Path], Result], job: Job, folder: Path) -> Result:
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(1, context) as pool:
            return pool.submit(work, job, folder).result()
    except BrokenProcessPool as error:
        raise TrainingError(
            f"the process measuring {job.method} on {job.category} was killed, most likely for "
            "memory; free some, or leave the method out of cost.methods"
        ) from error


def train(job: Job, folder: Path) -> Training:
    """Train as the train stage does, but with nothing cached; save the model in `folder`."""
    method, device, imports = _prepare(job)
    settings = parse(method.settings_model, job.settings, f"train.{job.method}")
    detector = method.detector_class()(settings, method=method.name)
    manifest = read_manifest(StudyPaths(job.study).manifest(job.category))
    data = training_data(manifest, job.root, StudyPaths(job.study).bank(job.category))
    workspace = Workspace(folder / "checkpoint.safetensors", folder / "features")
    generator = torch.Generator().manual_seed(0)
    fit = {"fit": lambda: detector.fit(data, generator, workspace)}
    with show():
        (seconds,) = timed(fit, 1, 0, lambda: synchronise(device))["fit"].tolist()
    detector.save(folder / "model")
    memory = memory_since(imports, device)
    return Training(seconds=seconds, good_images=len(data.good), memory=memory)


def score(job: Job, folder: Path) -> Scoring:
    """Measure the model in `folder` on test images."""
    method, device, imports = _prepare(job)
    detector = load_run(method, folder / "model")
    manifest = read_manifest(StudyPaths(job.study).manifest(job.category))
    files = image_files(job.root, manifest.test[: job.timing.batch_sizes[-1]])
    images = [files[index] for index in range(len(files))]
    size = _input_size(detector, images)
    gmacs = _gmacs(detector, images[:1], size, device)
    latency = {
        batch: _latency(detector, list(islice(cycle(images), batch)), size, job.timing, device)
        for batch in job.timing.batch_sizes
    }
    counted = detector_size(detector, folder / "model")
    machine, memory = describe_machine(device), memory_since(imports, device)
    return Scoring(machine, size, counted, gmacs, latency, memory)


def _prepare(job: Job) -> tuple[Method, torch.device, int]:
    """Return the method, the device and the memory that the program takes before any work."""
    prepare_torch()
    use_threads(job.timing.threads)
    method, device = find_method(job.method), pick_device()
    method.detector_class()
    return method, device, peak_resident_bytes()


def _input_size(detector: Detector, images: list[np.ndarray]) -> tuple[int, int]:
    height, width = detector.score(ArrayImages(images[:1])).anomaly_maps.shape[1:]
    return height, width


def _resized(images: list[np.ndarray], size: tuple[int, int]) -> Tensor:
    batch = np.stack([resize_image(image, *size) for image in images])
    return torch.from_numpy(batch).permute(0, 3, 1, 2)


def _gmacs(
    detector: Detector, images: list[np.ndarray], size: tuple[int, int], device: torch.device
) -> Macs:
    source, resized = ArrayImages(images), _resized(images, size).to(device)
    return Macs(
        backbone=giga_macs(lambda: detector.backbone(resized)),
        detector=giga_macs(lambda: detector.score(source)),
    )


def _latency(
    detector: Detector,
    images: list[np.ndarray],
    size: tuple[int, int],
    timing: TimingSettings,
    device: torch.device,
) -> BatchLatency:
    source, resized = ArrayImages(images), _resized(images, size)
    calls = {
        "backbone": lambda: detector.backbone(resized.to(device)),
        "detector": lambda: detector.score(source),
    }
    seconds = timed(calls, timing.repeats, timing.warmup, lambda: synchronise(device))
    return batch_latency(seconds["backbone"], seconds["detector"], len(images))
