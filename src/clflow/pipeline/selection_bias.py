"""The selection_bias stage: train once more, watched on test images, to see what that would gain.

Nothing else reads what it writes. It scores between steps, which draw all their randomness from
(seed, step), and ends with an error unless the model is the train stage's, byte for byte.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from clflow.data.images import ImageSource
from clflow.data.region_of_interest import RegionOfInterest
from clflow.detectors.protocol import Detector, Workspace
from clflow.errors import TrainingError
from clflow.files import write_json
from clflow.metrics.registry import named
from clflow.pipeline.evaluate import Subject
from clflow.pipeline.inputs import image_files, training_data, validation_anomalies
from clflow.pipeline.measure import CategoryScores, LabelledImages, Metrics, measure, protocol
from clflow.pipeline.settings import EvaluateSettings
from clflow.pipeline.train import failure_of
from clflow.progress import say
from clflow.settings import parse
from clflow.study.paths import FEATURES, StudyPaths
from clflow.study.selection_bias import (
    CurvePoint,
    Measured,
    SelectionBiasReport,
    TrainingCurve,
    gaps,
)


def observed_steps(total: int, points: int) -> tuple[int, ...]:
    """Return at most `points` evenly spaced steps of 1 .. total; the last one is `total`.

    >>> observed_steps(200, 4)
    (50, 100, 150, 200)
    >>> observed_steps(3, 10)
    (1, 2, 3)
    """
    return tuple(sorted({-(-total * point // points) for point in range(1, points + 1)}))


@dataclass
class Watcher:
    """Measures at the given steps and at no other.

    Attributes:
        points: what was measured, in the order of training.
    """

    steps: Sequence[int]
    measure: Callable[[int], Measured]
    points: list[CurvePoint] = field(default_factory=list)

    def __call__(self, step: int) -> None:
        """Measure if it is time to."""
        if step in self.steps:
            self.points.append(CurvePoint(step=step, metrics=dict(self.measure(step))))

    def check_complete(self) -> None:
        """Refuse a training that was not seen at all the steps.

        Raises:
            TrainingError: see above.
        """
        seen = [point.step for point in self.points]
        if seen != list(self.steps):
            raise TrainingError(
                f"training was observed at steps {seen} instead of {list(self.steps)}: the method "
                "does not call the observer of its workspace after every step; leave it out of "
                "selection_bias.methods"
            )


PURPOSE = (
    "diagnostic: the best point is chosen with the test labels and is no result; the models and "
    "numbers of the study do not depend on it"
)


@dataclass(frozen=True)
class Observed:
    """What is trained again, with its complete settings, and how it is measured."""

    subject: Subject
    settings: dict[str, Any]
    evaluate: EvaluateSettings
    points: int

    @property
    def label(self) -> str:
        """Method and category, for messages."""
        return f"{self.subject.method.name} {self.subject.manifest.category}"


@dataclass(frozen=True)
class _Images:
    labelled: LabelledImages
    test: ImageSource
    validation: ImageSource
    synthetic: ImageSource


def observe(observed: Observed, seeds: Sequence[int]) -> None:
    """Write the course of the test metrics over training, and the gaps, of every seed.

    A seed whose training failed has no model to watch again: it is said and left out.

    Raises:
        TrainingError: the model is not that of the train stage, or steps were not observed.
    """
    subject = observed.subject
    manifest = subject.manifest
    images = _Images(
        LabelledImages.read(manifest.test, subject.root),
        image_files(subject.root, manifest.test),
        image_files(subject.root, manifest.validation),
        validation_anomalies(subject.bank),
    )
    report = SelectionBiasReport(
        study=subject.study,
        dataset=subject.dataset,
        category=manifest.category,
        method=subject.method.name,
        protocol=_protocol(observed, images.labelled.region),
        digests={"manifest": manifest.digest, "bank": subject.bank_digest},
        seeds={seed: _observe_seed(observed, images, seed) for seed in _trained(subject, seeds)},
    )
    path = StudyPaths(subject.study).selection_bias(subject.method.name, manifest.category)
    write_json(path, report.model_dump(mode="json"))


def _trained(subject: Subject, seeds: Sequence[int]) -> Iterator[int]:
    for seed in seeds:
        model = StudyPaths(subject.study).model(
            subject.method.name, subject.manifest.category, seed
        )
        if failure_of(model) is None:
            yield seed
        else:
            run = f"{subject.method.name} {subject.manifest.category} seed {seed}"
            say(f"{run}: left out, its training failed")


def _protocol(observed: Observed, region: RegionOfInterest | None) -> dict[str, str]:
    size = observed.settings["image_size"]
    rules = protocol(observed.evaluate, (size, size), region)
    kept = ("scores", "masks", "aupro", "ignored")
    return {"purpose": PURPOSE} | {name: rules[name] for name in kept if name in rules}


def _observe_seed(observed: Observed, images: _Images, seed: int) -> TrainingCurve:
    subject, method = observed.subject, observed.subject.method
    settings = parse(method.settings_model, observed.settings, f"train.{method.name}")
    detector = method.detector_class()(settings, method=method.name)
    total = observed.settings["training"]["steps"]

    def measured(step: int) -> Measured:
        metrics = _measure(detector, images, observed)
        say(f"{observed.label} seed {seed} step {step}/{total}: {_described(metrics)}")
        return metrics

    watcher = Watcher(observed_steps(total, observed.points), measured)
    data = training_data(subject.manifest, subject.root, subject.bank)
    generator = torch.Generator().manual_seed(seed)
    detector.fit(data, generator, Workspace(features=FEATURES, observer=watcher))
    watcher.check_complete()
    category = subject.manifest.category
    check_same_model(detector, StudyPaths(subject.study).model(method.name, category, seed))
    return TrainingCurve(
        points=tuple(watcher.points), gap=gaps(watcher.points, named("selection_bias"))
    )


def _measure(detector: Detector, images: _Images, observed: Observed) -> Metrics:
    workspace = Workspace(features=FEATURES)
    scores = CategoryScores.of(
        observed.subject.manifest,
        detector.score(images.test, workspace),
        detector.score(images.validation, workspace),
        detector.score(images.synthetic, workspace),
        images.labelled.region,
    )
    measured = measure(images.labelled, scores, observed.evaluate)
    # beside the gaps' metrics: what a choice of the step without test labels could go by
    followed = (*named("selection_bias"), *named("without_labels"))
    return {name: measured.metrics[name] for name in followed}


def _described(metrics: Metrics) -> str:
    return ", ".join(
        f"{name} {'undefined' if value is None else f'{value:.4f}'}"
        for name, value in metrics.items()
    )


def check_same_model(detector: Detector, folder: Path) -> None:
    """Refuse a detector that is not, byte for byte, the one saved in `folder`.

    Raises:
        TrainingError: see above.
    """
    with TemporaryDirectory() as name:
        detector.save(Path(name))
        differing = [
            file.name
            for file in sorted(Path(name).iterdir())
            if not _same_bytes(file, folder / file.name)
        ]
    if differing:
        raise TrainingError(
            f"training again did not give the model in {folder} ({', '.join(differing)} differs), "
            "so its course would be another model's; training repeats exactly on one machine with "
            "the same device, threads and libraries: run `dvc repro --force` for the train stage "
            "here, then this stage again"
        )


def _same_bytes(first: Path, second: Path) -> bool:
    return second.is_file() and first.read_bytes() == second.read_bytes()
