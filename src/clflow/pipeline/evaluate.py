"""The evaluate stage: raw scores, metrics and pictures of one method on one category.

A seed whose training failed, or whose model gives scores that are not finite, has none of them: its
metrics are undefined, and the reason is kept.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clflow.data.records import Manifest, Record, region_of
from clflow.detectors.protocol import Detector, Workspace
from clflow.detectors.registry import Method
from clflow.files import remove_folder, write_bytes, write_json, write_text
from clflow.metrics.conformal import images_needed
from clflow.metrics.curves import PixelCurves
from clflow.metrics.registry import named
from clflow.pipeline.inputs import image_files, validation_anomalies
from clflow.pipeline.measure import (
    CategoryScores,
    LabelledImages,
    Measurement,
    Metrics,
    measure,
    no_metrics,
    protocol,
)
from clflow.pipeline.overlays import write_overlays
from clflow.pipeline.plots import Plots, seed_plots, write_plots
from clflow.pipeline.settings import EvaluateSettings
from clflow.pipeline.train import failure_of, load_run, run_notes, run_setup
from clflow.progress import say
from clflow.study.paths import FEATURES, StudyPaths, curves_name, influence_column


@dataclass(frozen=True)
class Subject:
    """What is evaluated."""

    study: str
    dataset: str
    method: Method
    manifest: Manifest
    root: Path
    bank: Path
    bank_digest: str


@dataclass(frozen=True, eq=False)
class _Found:
    """What one model gave."""

    scores: CategoryScores
    metrics: Metrics
    plots: Plots


def evaluate(subject: Subject, seeds: Sequence[int], settings: EvaluateSettings) -> None:
    """Write scores and curves (Parquet), metrics (JSON), plots (CSV), pictures of the first model.

    What is there of an earlier evaluation is removed first: a seed may have failed since.
    """
    method, category = subject.method.name, subject.manifest.category
    for folder in _folders(subject):
        remove_folder(folder)
    images = LabelledImages.read(subject.manifest.test, subject.root)
    metrics: dict[int, Metrics] = {}
    failures: dict[int, str] = {}
    plots: list[Plots] = []
    rules: dict[str, str] = {}
    for seed in seeds:
        found = _evaluate_seed(subject, images, seed, settings)
        if isinstance(found, str):
            metrics[seed], failures[seed] = no_metrics(), found
            continue
        metrics[seed] = found.metrics
        plots.append(found.plots)
        if not rules:
            _write_pictures(subject, images, found, settings)
            rules = protocol(settings, found.scores.test.anomaly_maps.shape[1:], images.region)
    write_plots(StudyPaths(subject.study).plots(method, category), plots)
    if not rules:
        _write_reasons(subject, failures)
    result = _result(subject, images, metrics, rules, failures)
    notes = run_notes(_model(subject, seeds[0]))
    result["setup"] = run_setup(subject.method, _model(subject, seeds[0]))
    path = StudyPaths(subject.study).result(method, category)
    write_json(path, result | ({"notes": notes} if notes else {}))


def _model(subject: Subject, seed: int) -> Path:
    place = (subject.method.name, subject.manifest.category, seed)
    return StudyPaths(subject.study).model(*place)


def _folders(subject: Subject) -> tuple[Path, Path]:
    """Return the folders of scores and of pictures."""
    place = (subject.method.name, subject.manifest.category)
    paths = StudyPaths(subject.study)
    return paths.scores(*place), paths.overlays(*place)


def _evaluate_seed(
    subject: Subject, images: LabelledImages, seed: int, settings: EvaluateSettings
) -> _Found | str:
    """Write what one model gave and return it, or say and return why there is nothing."""
    label = f"{subject.method.name} {subject.manifest.category} seed {seed}"
    model = _model(subject, seed)
    untrained = failure_of(model)
    if untrained is not None:
        say(f"{label}: no model, its training failed")
        return untrained
    scores = _score(load_run(subject.method, model), subject)
    measured = measure(images, scores, settings)
    if measured.failure is not None:
        say(f"{label} failed, which the tables will show: {measured.failure}")
        return measured.failure
    folder, _ = _folders(subject)
    _write_scores(folder / f"seed-{seed}.parquet", subject, scores, measured)
    _write_curves(folder / curves_name(seed), measured.curves)
    say(f"{label}: {_headline(measured.metrics)}")
    if measured.aupimo.undefined:
        say(f"AUPIMO is left empty: {measured.aupimo.undefined}")
    if (few := too_few(len(scores.validation), settings.false_alarm_rate)) is not None:
        say(few)
    labels = np.array([record.label for record in images.records])
    return _Found(scores, measured.metrics, seed_plots(seed, labels, scores, measured.curves))


def _score(detector: Detector, subject: Subject) -> CategoryScores:
    workspace = Workspace(features=FEATURES)
    manifest, root = subject.manifest, subject.root
    validation = detector.score(image_files(root, manifest.validation), workspace)
    synthetic = detector.score(validation_anomalies(subject.bank), workspace)
    test = detector.score(image_files(root, manifest.test), workspace)
    region = region_of(manifest.records, root)
    return CategoryScores.of(manifest, test, validation, synthetic, region)


def _headline(metrics: Metrics) -> str:
    values = ((name, metrics[name]) for name in named("headline"))
    return ", ".join(
        f"{name} {'undefined' if value is None else f'{value:.4f}'}" for name, value in values
    )


def too_few(held_out: int, rate: float) -> str | None:
    """Return in words that so many held-out images cannot promise a rate, None if they can."""
    if held_out >= images_needed(rate):
        return None
    return (
        f"{held_out} held-out good images promise a false-alarm rate of {1 / (held_out + 1):.3f}, "
        f"not the {rate:g} asked for, which takes {images_needed(rate)}: give more good images, "
        "or raise prepare.validation_fraction or evaluate.false_alarm_rate"
    )


def _write_pictures(
    subject: Subject, images: LabelledImages, found: _Found, settings: EvaluateSettings
) -> None:
    threshold = found.metrics["threshold"]
    assert threshold is not None
    _, folder = _folders(subject)
    write_overlays(images, found.scores.test, threshold, folder, settings)


def _write_reasons(subject: Subject, failures: Mapping[int, str]) -> None:
    """Say in the folders of scores and of pictures why there are none."""
    lines = [f"seed {seed}: {reason}\n" for seed, reason in failures.items()]
    for folder in _folders(subject):
        write_text(folder / "failed.txt", "".join(lines))


def _write_scores(
    path: Path, subject: Subject, scores: CategoryScores, measured: Measurement
) -> None:
    manifest = subject.manifest
    unknown = np.full(len(manifest.test), np.nan)
    columns = {
        influence_column(name): measured.influences.get(name, unknown)
        for name in named("influence")
    }
    anomalies = validation_anomalies(subject.bank).paths
    synthetic = pd.DataFrame({"path": [path.name for path in anomalies]}).assign(
        split="synthetic", label=1, defect="synthetic", score=scores.synthetic
    )
    parts = [
        _frame(manifest.test, scores.test.image_scores, scores.test_peaks).assign(
            aupimo=measured.aupimo.per_image, **columns
        ),
        _frame(manifest.validation, scores.validation, scores.validation_peaks),
        synthetic,
    ]
    _write_table(path, pd.concat(parts, ignore_index=True))


def _write_curves(path: Path, curves: PixelCurves | None) -> None:
    none = np.empty((3, 0))
    fpr, tpr, pro = none if curves is None else (curves.fpr, curves.tpr, curves.pro)
    _write_table(path, pd.DataFrame({"fpr": fpr, "tpr": tpr, "pro": pro}))


def _write_table(path: Path, table: pd.DataFrame) -> None:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    write_bytes(path, buffer.getvalue())


def _frame(records: tuple[Record, ...], scores: np.ndarray, peaks: np.ndarray) -> pd.DataFrame:
    names = ("path", "split", "label", "defect")
    columns = {name: [getattr(record, name) for record in records] for name in names}
    return pd.DataFrame(columns | {"score": scores, "peak": peaks})


def _result(
    subject: Subject,
    images: LabelledImages,
    metrics: Mapping[int, Metrics],
    rules: dict[str, str],
    failures: Mapping[int, str],
) -> dict[str, Any]:
    manifest = subject.manifest
    anomalous = sum(record.label for record in manifest.test)
    return {
        "study": subject.study,
        "dataset": subject.dataset,
        "category": manifest.category,
        "method": subject.method.name,
        "protocol": rules,
        "counts": {
            "train_good": len(manifest.train),
            "validation_good": len(manifest.validation),
            "test_good": len(manifest.test) - anomalous,
            "test_anomalous": anomalous,
            "test_without_mask": images.without_mask,
        }
        | ({} if images.region is None else {"test_wholly_ignored": images.wholly_ignored}),
        "digests": {"manifest": manifest.digest, "bank": subject.bank_digest},
        "seeds": {str(seed): own for seed, own in metrics.items()},
    } | ({"failures": {str(seed): why for seed, why in failures.items()}} if failures else {})
