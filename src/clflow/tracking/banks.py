"""Banks in MLflow: one parent run, below it a run for the bank of each category."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from clflow.errors import DataError
from clflow.files import digest_of, sha256_of
from clflow.study.paths import StudyPaths
from clflow.study.training import check_place, flatten, parse_record, read_json
from clflow.tracking.data import trained_on
from clflow.tracking.notes import BANK_RECORD, BANKS_NOTE, bank_note, repository_state
from clflow.tracking.runs import (
    CATEGORY,
    KIND,
    PARENT,
    STUDY,
    Changes,
    add_child,
    identity_of,
    new_run,
    parent_run,
)
from clflow.tracking.store import NOTE, Point, open_store
from clflow.tracking.times import file_span

SYNTHESIZE = "synthesize"

_WHOLE = "all"


class Counts(BaseModel):
    """Anomalies of a split: asked for, written, given up; attempts; written by each generator."""

    model_config = ConfigDict(frozen=True)

    asked: int
    written: int
    failed: int
    attempts: int
    generators: dict[str, int] = {}


class BankDescription(BaseModel):
    """bank.json: what a bank was made from and what came out."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    category: str
    manifest: str
    synthesize: dict[str, Any]
    resolved: dict[str, Any]
    background: dict[str, Any] | None
    reason: str
    splits: dict[str, Counts]
    libraries: dict[str, str]


@dataclass(frozen=True)
class Bank:
    """A bank and its report; `key` is the digest of its description, rows and statistics."""

    study: str
    report: Path
    description: BankDescription
    digests: Mapping[str, str]
    key: str

    @property
    def sheet(self) -> Path:
        """The contact sheet."""
        return self.report / "sheet.png"

    @property
    def statistics(self) -> Path:
        """The statistics, one line for the bank and one for each of several generators."""
        return self.report / "statistics.csv"


def load_bank(root: Path, study: str, category: str) -> Bank:
    """Return a bank and its report.

    Raises:
        DataError: a file is missing, malformed or of another category.
    """
    folder, report = (
        root / StudyPaths(study).bank(category),
        root / StudyPaths(study).bank_report(category),
    )
    content = read_json(folder / "bank.json")
    description = parse_record(BankDescription, content, folder / "bank.json")
    check_place(description, {"category": category}, folder / "bank.json")
    digests = {
        "bank": _digest(folder / "train" / "manifest.jsonl"),
        "bank_validation": _digest(folder / "validation" / "manifest.jsonl"),
        "statistics": _digest(report / "statistics.csv"),
        "sheet": _digest(report / "sheet.png"),
    }
    return Bank(study, report, description, digests, digest_of([content, digests]))


def log_bank(root: Path, study: str, category: str) -> Changes:
    """Log a bank: settings, counts, statistics, contact sheet, digests.

    Raises:
        DataError: a file is missing or malformed.
        TrackingError: MLflow failed.
    """
    bank = load_bank(root, study, category)
    about = bank.description
    points = [*_counts(about), *load_statistics(bank.statistics)]
    span = file_span(root / StudyPaths(study).bank(category) / "bank.json")
    data = trained_on(root, study, category, about.manifest)
    with open_store(root) as store:
        experiment = store.experiment(study)
        found = store.find(experiment, identity_of("bank", bank.key))
        if found:
            return Changes(unchanged=frozenset([found.id]))
        parent = parent_run(store, experiment, "banks", {KIND: SYNTHESIZE}, span)
        add_child(store, parent, span, data)
        if STUDY not in parent.tags:
            store.log_tags(parent, {STUDY: study, NOTE: BANKS_NOTE})
        note = bank_note(category, about.dataset, about.reason, _sources(bank))
        tags = {PARENT: parent.id, STUDY: study, CATEGORY: category, NOTE: note}
        with new_run(store, experiment, f"bank/{category}", "bank", bank.key, tags, span) as run:
            store.log_params(run, _params(about))
            store.log_points(run, points, span.end)
            store.log_data(run, data)
            store.write_json(run, _record(root, bank), BANK_RECORD)
            for path in (bank.sheet, bank.statistics):
                store.upload(run, path)
    return Changes(created=frozenset([run.id]))


def load_statistics(path: Path) -> list[Point]:
    """Return the values of statistics.csv; those of a generator are named generator/statistic.

    Raises:
        DataError: it has no column `group`, or a value is not a number.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [point for row in csv.DictReader(file) for point in _row_points(row)]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is not a table of statistics ({error}); run `dvc repro synthesize`"
        ) from error


def _row_points(row: dict[str, str]) -> list[Point]:
    group = row.pop("group")
    prefix = "" if group == _WHOLE else f"{group}/"
    return [Point(f"{prefix}{name}", float(value)) for name, value in row.items() if value]


def _params(about: BankDescription) -> dict[str, str]:
    found = {"resolved": about.resolved, "background": about.background or {}}
    return flatten(about.synthesize) | flatten({name: part for name, part in found.items() if part})


def _counts(about: BankDescription) -> list[Point]:
    points = []
    for split, counts in about.splits.items():
        for name in ("asked", "written", "failed", "attempts"):
            points.append(Point(f"{split}_{name}", getattr(counts, name)))
        if len(counts.generators) > 1:
            points += [Point(f"{g}/{split}_written", n) for g, n in counts.generators.items()]
    return points


def _sources(bank: Bank) -> list[tuple[str, str, str]]:
    paths, category = StudyPaths(bank.study), bank.description.category
    folder = paths.bank(category)
    return [
        ("images", f"`{paths.manifest(category).as_posix()}`", bank.description.manifest),
        ("train", f"`{(folder / 'train').as_posix()}`", bank.digests["bank"]),
        ("validation", f"`{(folder / 'validation').as_posix()}`", bank.digests["bank_validation"]),
    ]


def _record(root: Path, bank: Bank) -> dict[str, Any]:
    about = bank.description.model_dump(include={"dataset", "category", "reason", "libraries"})
    digests = {"manifest": bank.description.manifest, **bank.digests}
    return about | {"digests": digests, "logged": repository_state(root)}


def _digest(path: Path) -> str:
    if not path.is_file():
        raise DataError(f"{path} is missing; run `dvc repro` or `dvc checkout` to restore it")
    return sha256_of(path)
