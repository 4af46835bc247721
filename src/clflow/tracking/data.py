"""The data sets that runs name: the images of a category, to train on and to test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clflow.data.records import COLUMNS, Manifest, read_manifest
from clflow.study.paths import StudyPaths
from clflow.study.runs import RunResult

_NUMBERS = ("width", "height", "label")
_SCHEMA = tuple(
    {"name": name, "type": "long" if name in _NUMBERS else "string", "required": name != "mask"}
    for name in COLUMNS
)


@dataclass(frozen=True)
class DataSet:
    """What a run used of a data set: where its list is, the list's digest, and how much it used.

    `context` says for what. `counts` has "num_rows", the number of images, or is empty where that
    is not known; `columns` describe the list in MLflow's terms.
    """

    name: str
    digest: str
    source: Path
    context: str
    counts: Mapping[str, int]
    columns: Sequence[Mapping[str, Any]] = _SCHEMA


def trained_on(root: Path, study: str, category: str, digest: str) -> DataSet:
    """Return the good images to train on and the held-out ones, of a manifest with this digest.

    They are counted only where the manifest on disk is that one.

    Raises:
        DataError: the manifest is malformed.
    """
    path = StudyPaths(study).manifest(category)
    manifest = read_manifest(root / path) if (root / path).is_file() else None
    counts = _count(manifest) if manifest and manifest.digest == digest else {}
    return DataSet(f"{study}/{category}/train", digest, path, "training", counts)


def tested_on(result: RunResult, digest: str) -> DataSet:
    """Return the good and anomalous images that a result was measured on."""
    path = StudyPaths(result.study).manifest(result.category)
    own = {name: count for name, count in result.counts.items() if name.startswith("test_")}
    tested = [own[name] for name in ("test_good", "test_anomalous") if name in own]
    counts = {"num_rows": sum(tested)} | own if tested else {}
    # MLflow holds a data set once per run, so that the two parts need names of their own
    name = f"{result.study}/{result.category}/test"
    return DataSet(name, digest, path, "testing", counts)


def _count(manifest: Manifest) -> dict[str, int]:
    train, held_out = len(manifest.train), len(manifest.validation)
    return {"num_rows": train + held_out, "train_good": train, "validation_good": held_out}
