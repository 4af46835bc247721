"""The train stage: one run per seed, resumable, put in place when all are done.

A training that diverged is a result too: its reason stands where the model would.
"""

import csv
import json
import platform
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from clflow.alignment.sheet import write_sheet
from clflow.data.images import ArrayImages, ImageSource
from clflow.data.reading import AS_USUAL, Reading
from clflow.data.region_of_interest import RegionOfInterest
from clflow.decision.sealing import HISTORY
from clflow.detectors.protocol import Detector, Workspace
from clflow.detectors.registry import Method
from clflow.detectors.saved import FAILURE, failure_of, restore
from clflow.device import pick_device
from clflow.errors import TrainingError
from clflow.files import (
    atomic_folder,
    digest_of,
    remove_folder,
    source_digest,
    write_json,
    write_text,
)
from clflow.inspector.packaging import Fitted, write_package
from clflow.inspector.scoring import held_out_scores, noted
from clflow.progress import say
from clflow.settings import parse
from clflow.study.paths import FEATURES, RUNS
from clflow.synthesis.training_data import TrainingData

DESCRIPTION = "run.json"
LIBRARIES = ("torch", "timm", "FrEIA", "numpy", "opencv-python")
NO_IMAGES: ImageSource = ArrayImages(())
# a change of this code makes what was interrupted start anew
_CODE = ("alignment", "data", "detectors", "features", "flows", "synthesis", "training")


@dataclass(frozen=True)
class Run:
    """What a run is made from."""

    study: str
    dataset: str
    category: str
    method: Method
    settings: dict[str, Any]
    manifest_digest: str
    bank_digest: str

    def description(self, seed: int) -> dict[str, Any]:
        """Return the content of run.json."""
        notes = self.method.describe(self.settings)
        libraries = (*LIBRARIES, *self.method.requires)
        return {
            "study": self.study,
            "dataset": self.dataset,
            "category": self.category,
            "method": self.method.name,
            "seed": seed,
            "settings": self.settings,
            "digests": {"manifest": self.manifest_digest, "bank": self.bank_digest},
            "versions": {"python": platform.python_version()}
            | {name: version(name) for name in libraries},
            "device": pick_device().type,
        } | ({"notes": notes} if notes else {})


@dataclass(frozen=True)
class Material:
    """What a run learns from, and what its thresholds rest on: no test image.

    Attributes:
        held_out: good images that are not learned from.
        anomalies: synthetic ones made of them.
        shapes: height and width of each good image that is learned from.
        reading: how the files of the category are read.
        region: which of their pixels count, None for all.
    """

    data: TrainingData
    held_out: ImageSource = NO_IMAGES
    anomalies: ImageSource = NO_IMAGES
    shapes: tuple[tuple[int, int], ...] = ()
    reading: Reading = AS_USUAL
    region: RegionOfInterest | None = None


def train_seeds(run: Run, material: Material, seeds: Sequence[int], out: Path) -> dict[int, float]:
    """Train one detector per seed into `out/seed-<n>` and return the seconds each took.

    Each folder is a package that `clflow.load` reads, without the weights of the backbone.

    A seed whose training diverges leaves `failed.json` there instead of a model: the content of
    run.json and the reason. The other seeds go on.

    Finished seeds and checkpoints of an interrupted stage are kept aside, under a key of everything
    that decides the result, and taken up again.

    Raises:
        SettingsError: the method's packages are not installed.
    """
    run.method.check_installed()
    work = _work_folder(run)
    seconds = {seed: _train_seed(run, material, seed, work) for seed in seeds}
    with atomic_folder(out) as folder:
        for seed in seeds:
            shutil.copytree(work / f"seed-{seed}", folder / f"seed-{seed}")
    remove_folder(work)
    if all(failure_of(out / f"seed-{seed}") is not None for seed in seeds):
        say(f"{run.method.name} {run.category}: every seed failed, there is no model to evaluate")
    return seconds


def _train_seed(run: Run, material: Material, seed: int, work: Path) -> float:
    folder = work / f"seed-{seed}"
    label = f"{run.method.name} {run.category} seed {seed}"
    if folder.is_dir():
        reason = failure_of(folder)
        say(f"{label}: already {'trained' if reason is None else f'failed: {reason}'}")
        return 0.0
    start = time.perf_counter()
    checkpoint = work / f"seed-{seed}.safetensors"
    say(f"{label}: resuming" if checkpoint.is_file() else f"{label}: training")
    settings = parse(run.method.settings_model, run.settings, f"train.{run.method.name}")
    generator = torch.Generator().manual_seed(seed)
    detector = run.method.detector_class()(settings, method=run.method.name)
    try:
        detector.fit(material.data, generator, Workspace(checkpoint, FEATURES))
    except TrainingError as error:
        reason = " ".join(str(error).split())
        say(f"{label} failed, which the tables will show: {reason}")
        with atomic_folder(folder) as partial:
            write_json(partial / FAILURE, run.description(seed) | {"failure": reason})
    else:
        with atomic_folder(folder) as partial:
            write_json(partial / DESCRIPTION, run.description(seed))
            write_sheet(detector, material.data.good, partial)
            seconds = time.perf_counter() - start
            write_package(partial, _fitted(run, detector, seed, material), backbone=False)
            checkpoint.unlink(missing_ok=True)
            return seconds
    checkpoint.unlink(missing_ok=True)
    return time.perf_counter() - start


def _fitted(run: Run, detector: Detector, seed: int, material: Material) -> Fitted:
    good, held_out = material.data.good, material.held_out
    return Fitted(
        detector=detector,
        method=run.method.name,
        seed=seed,
        settings=run.settings,
        origin=noted(run.dataset, run.category, good, held_out, material.shapes, material.reading),
        calibration=held_out_scores(detector, held_out, material.region, material.anomalies),
        region=material.region,
    )


def _work_folder(run: Run) -> Path:
    """Return where unfinished seeds are kept; what other settings or code left there is removed."""
    key = digest_of([run.description(0), source_digest(*_CODE)])[:16]
    folder = RUNS / run.study / run.method.name / run.category
    for other in folder.glob("*"):
        if other.name != key:
            remove_folder(other)
    return folder / key


def write_losses(models: Path, seeds: Sequence[int], path: Path) -> None:
    """Write the loss over training of the first seed that has one, as a table that DVC draws.

    A line drawn through several seeds would jump between them. A method without a loss, or a
    training that failed, leaves the header alone.
    """
    histories = (models / f"seed-{seed}" / HISTORY for seed in seeds)
    rows = next(filter(None, map(_losses, filter(Path.is_file, histories))), [])
    lines = [f"{row['step']},{row['loss']}\n" for row in rows]
    write_text(path, "step,loss\n" + "".join(lines))


def _losses(history: Path) -> list[dict[str, str]]:
    with history.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row.get("step") and row.get("loss")]


def load_run(method: Method, folder: Path) -> Detector:
    """Return the trained detector of one seed.

    Raises:
        DataError: the model is damaged, or code of another version wrote it.
        SettingsError: the backbone's weights are not those it was trained with.
    """
    return restore(method, folder)


def run_notes(folder: Path) -> str:
    """Return in what a run differs from its published method; empty if in nothing."""
    return _description(folder).get("notes", "")


def run_setup(method: Method, folder: Path) -> dict[str, Any]:
    """Return the backbone, or the network that is trained, and the input size of a run."""
    settings = _description(folder)["settings"]
    backbone = settings.get("backbone", {}).get("name", method.network)
    return {"backbone": backbone, "image_size": settings.get("image_size")}


def _description(folder: Path) -> Any:
    path = folder / FAILURE
    return _read(path if path.is_file() else folder / DESCRIPTION)


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
