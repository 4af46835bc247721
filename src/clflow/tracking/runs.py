"""What a study becomes in MLflow: experiment = study, parent run = method, child run = one seed.

Banks of synthetic anomalies, figures and tables have runs of their own, see the other modules.
Everything is read from plain files and keyed by their digests: logging twice changes nothing.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clflow.files import sha256_of
from clflow.progress import say
from clflow.study.paths import StudyPaths
from clflow.study.runs import RunResult
from clflow.study.training import (
    TrainedRun,
    flatten,
    load_curves,
    load_result,
    load_training,
)
from clflow.tracking.data import DataSet, tested_on, trained_on
from clflow.tracking.notes import (
    EVALUATION_RECORD,
    TRAINING_RECORD,
    evaluation_record,
    method_note,
    run_note,
    training_record,
)
from clflow.tracking.store import NOTE, Entry, Point, Store, open_store
from clflow.tracking.times import Span, record_training, training_span

_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Changes:
    """Ids of the runs that were made, that got new results, and that were already complete."""

    created: frozenset[str] = _NONE
    updated: frozenset[str] = _NONE
    unchanged: frozenset[str] = _NONE

    def __or__(self, later: "Changes") -> "Changes":
        """Return both together; a run made and then filled counts as made only."""
        created = self.created | later.created
        updated = (self.updated | later.updated) - created
        unchanged = (self.unchanged | later.unchanged) - created - updated
        return Changes(created, updated, unchanged)


KIND = "clflow.kind"
KEY = "clflow.key"
STUDY = "clflow.study"
METHOD = "clflow.method"
CATEGORY = "clflow.category"
SEED = "clflow.seed"
FAILED = "clflow.failed"
ALIGNMENT = "clflow.alignment"
EVALUATED = "clflow.evaluated"
PARENT = "mlflow.parentRunId"

_SHORT = 16


def short(digest: str) -> str:
    """Return the start of a digest, which is enough to tell runs apart."""
    return digest[:_SHORT]


@contextmanager
def new_run(
    store: Store,
    experiment: str,
    name: str,
    kind: str,
    key: str,
    tags: Mapping[str, str],
    span: Span,
) -> Iterator[Entry]:
    """Yield a new run to fill, which is whole once the block ends without an error.

    A run of the same files that an earlier version wrote, with the whole digest, gives way to it.
    """
    identity = identity_of(kind, key)
    entry = store.start(experiment, name, {**identity, **tags}, span.start)
    yield entry
    store.finish(entry, span.end, failed=tags.get(FAILED) == "true")
    store.discard(experiment, identity | {KEY: key})


def identity_of(kind: str, key: str) -> dict[str, str]:
    """Return the tags by which a run is found again."""
    return {KIND: kind, KEY: short(key)}


def parent_run(
    store: Store, experiment: str, name: str, identity: Mapping[str, str], span: Span
) -> Entry:
    """Return the run with these tags, made if missing, that others are children of.

    One that an earlier version wrote is renamed.
    """
    found = store.find(experiment, identity)
    if found is None:
        found = store.start(experiment, name, identity, span.start)
        store.finish(found, span.end)
    elif found.name != name:
        store.rename(found, name)
    return found


def add_child(store: Store, parent: Entry, span: Span, data: DataSet) -> None:
    """Let a parent last until the end of a child, and name the data that the child used."""
    if span.end > parent.end:
        store.finish(parent, span.end)
    store.log_data(parent, data)


def method_run(store: Store, study: str, method: str, span: Span) -> Entry:
    """Return the run of a method, the parent of its models."""
    identity = {KIND: "method", METHOD: method}
    parent = parent_run(store, store.experiment(study), f"{method}/mean", identity, span)
    if STUDY not in parent.tags:
        store.log_tags(parent, {STUDY: study, FAILED: "false", NOTE: method_note(method, [])})
    return parent


def log_training(
    root: Path, study: str, method: str, category: str, seed: int, seconds: float | None = None
) -> Changes:
    """Log a trained model: settings, curves, data, record; a failed training as a failed run.

    `seconds` is how long a training took that has just ended; without it the note of an earlier
    call is used, see `clflow.tracking.times`.

    Raises:
        DataError: a file of the run is missing or malformed.
        TrackingError: MLflow failed.
    """
    run = load_training(root, study, method, category, seed)
    if seconds:
        record_training(root, run, seconds)
    with open_store(root) as store:
        return _child(store, root, run)[1]


def log_evaluation(root: Path, study: str, method: str, category: str) -> Changes:
    """Log metrics, scores and pictures of every seed to its run; a missing run is logged first.

    Seeds whose model is not on this disk, as in a fresh clone, are left out with a note.

    Raises:
        DataError: a file is missing or malformed.
        TrackingError: MLflow failed.
    """
    result = load_result(root, study, method, category)
    models = root / StudyPaths(study).models(method, category)
    here = [seed for seed in sorted(result.seeds) if (models / f"seed-{seed}").is_dir()]
    absent = sorted(result.seeds.keys() - set(here))
    if absent:
        name = f"{study}/{method}/{category}"
        say(f"MLflow: no model of {name} seeds {absent} on disk; `dvc pull` and sync")
    runs = [load_training(root, study, method, category, seed) for seed in here]
    changes = Changes()
    with open_store(root) as store:
        for run in runs:
            entry, change = _child(store, root, run)
            changes |= change | _evaluate(store, root, entry, run, result)
    return changes


def _child(store: Store, root: Path, run: TrainedRun) -> tuple[Entry, Changes]:
    about, failed = run.description, run.description.failure is not None
    experiment, span = store.experiment(about.study), training_span(root, run)
    found = store.find(experiment, identity_of("run", run.key))
    if found:
        return found, _add_sheet(store, found, run)
    points = [] if failed else load_curves(run.history)
    if span.seconds is not None:
        points.append(Point("training_seconds", span.seconds))
    data = trained_on(root, about.study, about.category, about.digests.get("manifest", ""))
    parent = method_run(store, about.study, about.method, span)
    add_child(store, parent, span, data)
    tags = {PARENT: parent.id, NOTE: run_note(run, span)} | _tags(run)
    name = f"{about.method}/{about.category}/seed-{about.seed}"
    with new_run(store, experiment, name, "run", run.key, tags, span) as entry:
        store.log_params(entry, flatten(about.settings))
        store.log_points(entry, points, span.end)
        store.log_data(entry, data)
        store.write_json(entry, training_record(root, run), TRAINING_RECORD)
        for path in run.files:
            store.upload(entry, path)
    return entry, Changes(created=frozenset([entry.id]))


def _tags(run: TrainedRun) -> dict[str, str]:
    about = run.description
    return {
        STUDY: about.study,
        METHOD: about.method,
        CATEGORY: about.category,
        SEED: str(about.seed),
        FAILED: _truth(about.failure is not None),
    } | _sheet_tags(run)


def _add_sheet(store: Store, entry: Entry, run: TrainedRun) -> Changes:
    """Add the sheet of alignment to a run that was logged without it, or with another."""
    tags = _sheet_tags(run)
    if tags.items() <= entry.tags.items():
        return Changes(unchanged=frozenset([entry.id]))
    store.upload(entry, run.sheet)
    store.log_tags(entry, tags)
    return Changes(updated=frozenset([entry.id]))


def _sheet_tags(run: TrainedRun) -> dict[str, str]:
    return {ALIGNMENT: short(sha256_of(run.sheet))} if run.sheet.is_file() else {}


def _evaluate(
    store: Store, root: Path, entry: Entry, run: TrainedRun, result: RunResult
) -> Changes:
    seed, digest = run.description.seed, short(result.digest(run.description.seed))
    if entry.tags.get(EVALUATED) == digest:
        return Changes(unchanged=frozenset([entry.id]))
    paths, place = StudyPaths(result.study), (result.method, result.category)
    store.log_points(entry, metric_points(result.seeds[seed], entry))
    manifest = result.digests.get("manifest", run.description.digests.get("manifest", ""))
    store.log_data(entry, tested_on(result, manifest))
    store.upload(entry, root / paths.scores(*place) / f"seed-{seed}.parquet")
    if seed == result.pictured:
        store.upload(entry, root / paths.overlays(*place), "overlays")
    store.write_json(entry, evaluation_record(root, result), EVALUATION_RECORD)
    failed = run.description.failure is not None or seed in result.failures
    note = run_note(run, training_span(root, run), result)
    store.log_tags(entry, {FAILED: _truth(failed), NOTE: note})
    store.log_tags(entry, {EVALUATED: digest})
    return Changes(updated=frozenset([entry.id]))


def metric_points(metrics: Mapping[str, float | None], entry: Entry) -> list[Point]:
    """Return the metrics that are defined, and NaN for those that the run has and are not.

    MLflow cannot remove a metric.
    """
    values = {
        name: math.nan if value is None else value
        for name, value in metrics.items()
        if value is not None or name in entry.metrics
    }
    return [Point(name, value) for name, value in values.items()]


def _truth(value: bool) -> str:
    return "true" if value else "false"
