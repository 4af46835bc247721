"""The evaluate stage: raw scores, metrics and pictures of one method on one category."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clflow.data.records import Manifest, Record
from clflow.detectors.inputs import image_files, validation_anomalies
from clflow.detectors.protocol import Detector, Workspace
from clflow.detectors.registry import Method
from clflow.detectors.runs import load_run, run_notes
from clflow.evaluation.measure import CategoryScores, Metrics, measure, protocol, record_mask
from clflow.evaluation.overlays import write_overlays
from clflow.evaluation.places import curves_name
from clflow.evaluation.settings import EvaluateSettings
from clflow.files import write_bytes, write_json
from clflow.metrics.curves import PixelCurves
from clflow.metrics.pimo import Aupimo
from clflow.paths import FEATURES, overlays_folder, result_path, scores_folder, seed_folder
from clflow.progress import say


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


def evaluate(subject: Subject, seeds: Sequence[int], settings: EvaluateSettings) -> None:
    """Write scores and curves (Parquet), metrics (JSON) and pictures, these of the first seed."""
    category, method = subject.manifest.category, subject.method.name
    key = (subject.study, method, category)
    metrics: dict[str, Metrics] = {}
    size = (0, 0)
    for seed in seeds:
        detector = load_run(subject.method, seed_folder(*key, seed))
        scores = _score(detector, subject)
        measured = measure(subject.manifest.test, scores, subject.root, settings)
        metrics[str(seed)] = measured.metrics
        folder = scores_folder(*key)
        _write_scores(folder / f"seed-{seed}.parquet", subject, scores, measured.aupimo)
        _write_curves(folder / curves_name(seed), measured.curves)
        size = scores.test.anomaly_maps.shape[1:]
        if seed == seeds[0]:
            _write_pictures(subject, scores, measured.metrics, settings)
        say(f"{method} {category} seed {seed}: {_headline(measured.metrics)}")
        if measured.aupimo.undefined:
            say(f"AUPIMO is left empty: {measured.aupimo.undefined}")
    notes = run_notes(seed_folder(*key, seeds[0]))
    result = _result(subject, metrics, protocol(settings, size))
    write_json(result_path(*key), result | ({"notes": notes} if notes else {}))


def _score(detector: Detector, subject: Subject) -> CategoryScores:
    workspace = Workspace(features=FEATURES)
    manifest, root = subject.manifest, subject.root
    validation = detector.score(image_files(root, manifest.validation), workspace)
    synthetic = detector.score(validation_anomalies(subject.bank), workspace)
    test = detector.score(image_files(root, manifest.test), workspace)
    return CategoryScores(test, validation.image_scores, synthetic.image_scores)


def _headline(metrics: Metrics) -> str:
    shown = ("image_auroc", "pixel_auroc", "aupro_30", "aupimo")
    values = ((name, metrics[name]) for name in shown)
    return ", ".join(
        f"{name} {'undefined' if value is None else f'{value:.4f}'}" for name, value in values
    )


def _write_pictures(
    subject: Subject, scores: CategoryScores, metrics: Metrics, settings: EvaluateSettings
) -> None:
    folder = overlays_folder(subject.study, subject.method.name, subject.manifest.category)
    threshold = metrics["threshold"]
    assert threshold is not None
    write_overlays(subject.manifest.test, scores.test, threshold, subject.root, folder, settings)


def _write_scores(path: Path, subject: Subject, scores: CategoryScores, aupimo: Aupimo) -> None:
    manifest = subject.manifest
    anomalies = validation_anomalies(subject.bank).paths
    synthetic = pd.DataFrame({"path": [path.name for path in anomalies]}).assign(
        split="synthetic", label=1, defect="synthetic", score=scores.synthetic
    )
    parts = [
        _frame(manifest.test, scores.test.image_scores).assign(aupimo=aupimo.per_image),
        _frame(manifest.validation, scores.validation),
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


def _frame(records: tuple[Record, ...], scores: np.ndarray) -> pd.DataFrame:
    names = ("path", "split", "label", "defect")
    columns = {name: [getattr(record, name) for record in records] for name in names}
    return pd.DataFrame(columns | {"score": scores})


def _result(subject: Subject, metrics: dict[str, Metrics], rules: dict[str, str]) -> dict[str, Any]:
    manifest = subject.manifest
    anomalous = [record for record in manifest.test if record.label]
    return {
        "study": subject.study,
        "dataset": subject.dataset,
        "category": manifest.category,
        "method": subject.method.name,
        "protocol": rules,
        "counts": {
            "train_good": len(manifest.train),
            "validation_good": len(manifest.validation),
            "test_good": len(manifest.test) - len(anomalous),
            "test_anomalous": len(anomalous),
            "test_without_mask": sum(record_mask(r, subject.root) is None for r in anomalous),
        },
        "digests": {"manifest": manifest.digest, "bank": subject.bank_digest},
        "seeds": metrics,
    }
