"""What a study becomes in MLflow: experiment = study, parent run = method, child run = one seed.

Banks of synthetic anomalies have a parent of their own, see `clflow.tracking.banks`.
Everything is read from plain files and keyed by their digests: logging twice changes nothing.
"""

import math
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clflow.files import digest_of, sha256_of
from clflow.progress import say
from clflow.study.paths import RESULTS, TABLE_FILES, StudyPaths
from clflow.study.training import (
    Description,
    Result,
    TrainedRun,
    flatten,
    load_curves,
    load_result,
    load_training,
)
from clflow.tracking.means import load_failed, load_means
from clflow.tracking.store import Entry, Point, Store, open_store

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


def repository_tags(root: Path) -> dict[str, str]:
    """Return commit, whether tracked files differ from it, digest of dvc.lock: those that exist."""
    tags = {}
    commit = _git(root, "rev-parse", "HEAD")
    if commit:
        tags["clflow.logged.git_commit"] = commit
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
        tags["clflow.logged.git_dirty"] = "true" if changed else "false"
    lock = root / "dvc.lock"
    if lock.is_file():
        tags["clflow.logged.dvc_lock"] = sha256_of(lock)
    return tags


def _git(root: Path, *command: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(root), *command],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


KIND = "clflow.kind"
KEY = "clflow.key"
METHOD = "clflow.method"
FAILURE = "clflow.failure"
FAILED = "clflow.failed_runs"
EVALUATED = "clflow.evaluated"
TABULATED = "clflow.tabulated"
PARENT = "mlflow.parentRunId"


def log_training(
    root: Path, study: str, method: str, category: str, seed: int, seconds: float | None = None
) -> Changes:
    """Log a trained model: settings, curves, digests; `seconds` is how long training took.

    A training that failed becomes a failed run that says why.

    Raises:
        DataError: a file of the run is missing or malformed.
        TrackingError: MLflow failed.
    """
    run = load_training(root, study, method, category, seed)
    with open_store(root) as store:
        return _child(store, root, run, seconds)[1]


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
            entry, change = _child(store, root, run, None)
            changes |= change | _evaluate(store, root, entry, result, run.description.seed)
    return changes


def log_tables(root: Path, study: str, tables: Path) -> Changes:
    """Log all tables as a run of their own and the means to the run of each method.

    Means are over what has a value; beside them stands which runs failed.

    Raises:
        DataError: results.csv is missing or malformed.
        TrackingError: MLflow failed.
    """
    folder = root / tables
    means, failed = load_means(folder / RESULTS), load_failed(folder / RESULTS)
    results = sha256_of(folder / RESULTS)
    files = [folder / name for name in TABLE_FILES if (folder / name).is_file()]
    key = digest_of([[file.name, sha256_of(file)] for file in files])
    with open_store(root) as store:
        experiment = store.experiment(study)
        for method, runs in failed.items():
            parent = _parent(store, experiment, method)
            tags = {FAILED: ", ".join(runs) or "none", TABULATED: results}
            _log_means(store, parent, means.get(method, {}), tags)
        identity = {KIND: "tables", KEY: key}
        found = store.find(experiment, identity)
        if found:
            return Changes(unchanged=frozenset([found.id]))
        run = store.start(experiment, "tables", identity | repository_tags(root))
        for file in files:
            store.upload(run, file)
        store.finish(run)
    return Changes(created=frozenset([run.id]))


def _child(
    store: Store, root: Path, run: TrainedRun, seconds: float | None
) -> tuple[Entry, Changes]:
    description = run.description
    experiment = store.experiment(description.study)
    identity = {KIND: "run", KEY: run.key}
    found = store.find(experiment, identity)
    if found:
        return found, _add_sheet(store, found, run)
    failed = description.failure is not None
    points = [] if failed else load_curves(run.history)
    parent = _parent(store, experiment, description.method)
    tags = identity | {PARENT: parent.id} | _tags(run) | repository_tags(root)
    name = f"{description.category}/seed-{description.seed}"
    entry = store.start(experiment, name, tags)
    store.log_params(entry, flatten(description.settings))
    store.log_points(entry, points + ([Point("train_seconds", seconds)] if seconds else []))
    for path in run.files:
        store.upload(entry, path)
    store.finish(entry, failed=failed)
    return entry, Changes(created=frozenset([entry.id]))


def _add_sheet(store: Store, entry: Entry, run: TrainedRun) -> Changes:
    """Add the sheet of alignment to a run that was logged without it, or with another."""
    tags = _sheet_tags(run)
    if tags.items() <= entry.tags.items():
        return Changes(unchanged=frozenset([entry.id]))
    store.upload(entry, run.sheet)
    store.log_tags(entry, tags)
    return Changes(updated=frozenset([entry.id]))


def _sheet_tags(run: TrainedRun) -> dict[str, str]:
    return {"clflow.digest.alignment": sha256_of(run.sheet)} if run.sheet.is_file() else {}


def _parent(store: Store, experiment: str, method: str) -> Entry:
    return parent_run(store, experiment, method, {KIND: "method", METHOD: method})


def parent_run(store: Store, experiment: str, name: str, identity: Mapping[str, str]) -> Entry:
    """Return the run with these tags, made empty if missing, that others are children of."""
    found = store.find(experiment, identity)
    if found:
        return found
    parent = store.start(experiment, name, identity)
    store.finish(parent)
    return parent


def _tags(run: TrainedRun) -> dict[str, str]:
    about: Description = run.description
    tags = {
        "clflow.dataset": about.dataset,
        "clflow.category": about.category,
        METHOD: about.method,
        "clflow.seed": str(about.seed),
        "clflow.device": about.device,
    }
    tags |= {f"clflow.digest.{name}": value for name, value in about.digests.items()}
    tags |= {f"clflow.version.{name}": value for name, value in about.versions.items()}
    if run.weights.is_file():
        tags["clflow.digest.weights"] = sha256_of(run.weights)
    if about.failure is not None:
        tags[FAILURE] = about.failure
    return tags | _sheet_tags(run)


def _evaluate(store: Store, root: Path, entry: Entry, result: Result, seed: int) -> Changes:
    digest = result.digest(seed)
    if entry.tags.get(EVALUATED) == digest:
        return Changes(unchanged=frozenset([entry.id]))
    paths, place = StudyPaths(result.study), (result.method, result.category)
    store.log_points(entry, _metric_points(result.seeds[seed], entry))
    store.upload(entry, root / paths.scores(*place) / f"seed-{seed}.parquet")
    if seed == result.pictured:
        store.upload(entry, root / paths.overlays(*place), "overlays")
    tags = {f"clflow.protocol.{name}": value for name, value in result.protocol.items()}
    tags |= {f"clflow.count.{name}": str(count) for name, count in result.counts.items()}
    if seed in result.failures or FAILURE in entry.tags:
        tags[FAILURE] = result.failures.get(seed, "none")
    store.log_tags(entry, tags)
    store.log_tags(entry, {EVALUATED: digest})
    return Changes(updated=frozenset([entry.id]))


def _metric_points(metrics: dict[str, float | None], entry: Entry) -> list[Point]:
    # MLflow cannot remove a metric: one that has become undefined is overwritten by NaN.
    values = {
        name: math.nan if value is None else value
        for name, value in metrics.items()
        if value is not None or name in entry.metrics
    }
    return [Point(name, value) for name, value in values.items()]


def _log_means(
    store: Store, parent: Entry, metrics: dict[str, float], tags: dict[str, str]
) -> None:
    if parent.tags.get(TABULATED) == tags[TABULATED]:
        return
    store.log_points(parent, [Point(f"mean_{name}", value) for name, value in metrics.items()])
    store.log_tags(parent, tags)
