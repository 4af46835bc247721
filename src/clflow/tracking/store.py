"""The MLflow store of a repository: where it is, one writer at a time, one kind of error."""

import json
import logging
import os
import sqlite3
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from clflow.errors import ClflowError
from clflow.study.training import Point
from clflow.tracking.data import DataSet

DATABASE = "mlflow.db"
ARTIFACTS = "mlruns"

# MLflow's own seven retries hold up a stage for minutes when a server is down.
_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}
_CONTENT = "each model is a run below its method, which has the means over categories."
_LOCK_SECONDS = 120.0
_BUSY_SECONDS = 20.0
_REASON_LENGTH = 300
_METRICS_PER_BATCH = 1000
_PAIRS_PER_BATCH = 100
_PARAM_LENGTH = 6000
_TAG_LENGTH = 8000
_DIGEST_LENGTH = 16
_ENDED = ("FINISHED", "FAILED")

NOTE = "mlflow.note.content"
# Says that an experiment trains models. The pages of MLflow 3.17 do not ask: they open every
# experiment as one of language models until the reader chooses "Model training", or the address
# ends in ?workflowType=machine_learning.
EXPERIMENT_KIND = "mlflow.experimentKind"
MODEL_TRAINING = "custom_model_development"
_NOT_OURS = ("", "no_inferred_type", "genai_development", "genai_development_inferred")

Item = TypeVar("Item")


class TrackingError(ClflowError):
    """MLflow cannot be imported, opened or written; the plain files are not affected."""


@dataclass(frozen=True)
class Entry:
    """A run in the store: name, tags, when it ended [ms], and the names of the metrics it has."""

    id: str
    name: str
    tags: Mapping[str, str]
    end: int = 0
    metrics: frozenset[str] = frozenset()


def tracking_uri(root: Path) -> str:
    """Return MLFLOW_TRACKING_URI where the user set it, else the SQLite store of the repository."""
    default = f"sqlite:///{(root.resolve() / DATABASE).as_posix()}"
    return os.environ.get("MLFLOW_TRACKING_URI") or default


@contextmanager
def open_store(root: Path) -> Iterator["Store"]:
    """Yield the store, made on first use, to one process at a time and with MLflow's messages off.

    Raises:
        TrackingError: MLflow is not installed, or the store is broken, busy or cannot be written.
    """
    root = root.resolve()
    lock = FileLock(root / f"{DATABASE}.lock")
    with _muted():
        with _reported():
            lock.acquire(timeout=_LOCK_SECONDS)
        try:
            yield Store(root)
        finally:
            lock.release()


@contextmanager
def _muted() -> Iterator[None]:
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)


@contextmanager
def _reported() -> Iterator[None]:
    # Only calls into MLflow stand in this block. Its artifact stores raise the errors of their own
    # libraries, so no shorter list than Exception is complete.
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())[:_REASON_LENGTH]
        message = (
            f"MLflow failed ({type(error).__name__}: {reason}); results on disk are not affected: "
            f"{_advice(error)}, then run `clflow track sync`"
        )
        raise TrackingError(message) from error


def _advice(error: Exception) -> str:
    if isinstance(error, ImportError):
        return "install mlflow"
    if isinstance(error, Timeout):
        return "wait for the other process"
    return f"mend the store or delete {DATABASE}"


def _connect(root: Path) -> Any:
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    if _is_local(root):
        _probe(root / DATABASE)
    return MlflowClient(tracking_uri=tracking_uri(root))


def _is_local(root: Path) -> bool:
    return tracking_uri(root) == f"sqlite:///{(root / DATABASE).as_posix()}"


def _probe(database: Path) -> None:
    # MLflow retries for two minutes on a file that is no database; SQLite itself knows at once.
    with closing(sqlite3.connect(database, timeout=_BUSY_SECONDS, isolation_level=None)) as file:
        file.execute("BEGIN IMMEDIATE")
        file.execute("ROLLBACK")


class Store:
    """The MLflow operations that runs need; each raises TrackingError when MLflow fails."""

    def __init__(self, root: Path) -> None:
        with _reported():
            self._client = _connect(root)
        self._artifacts = root / ARTIFACTS if _is_local(root) else None

    def experiment(self, name: str) -> str:
        """Return the id of an experiment of model training, made if missing.

        Its artifacts are in the repository, unless the user has another store.
        """
        location = (self._artifacts / name).as_uri() if self._artifacts else None
        tags = {EXPERIMENT_KIND: MODEL_TRAINING, NOTE: f"Study {name} of clflow: {_CONTENT}"}
        with _reported():
            found = self._client.get_experiment_by_name(name)
            if found is None:
                return str(self._client.create_experiment(name, location, tags))
        if location and found.artifact_location != location:
            message = (
                f"MLflow keeps the artifacts of {name!r} in {found.artifact_location}, not in "
                f"{location}: the repository was moved or copied; delete {DATABASE} and "
                f"{ARTIFACTS}, then run `clflow track sync`"
            )
            raise TrackingError(message)
        if found.tags.get(EXPERIMENT_KIND, "") in _NOT_OURS:
            with _reported():
                for tag, value in tags.items():
                    self._client.set_experiment_tag(found.experiment_id, tag, value)
        return str(found.experiment_id)

    def find(self, experiment: str, tags: Mapping[str, str]) -> Entry | None:
        """Return the ended run with these tags; what an interrupted process left is removed."""
        finished = None
        with _reported():
            for run in self._search(experiment, tags):
                if run.info.status in _ENDED:
                    finished = _entry(run)
                else:
                    self._client.delete_run(run.info.run_id)
        return finished

    def discard(self, experiment: str, tags: Mapping[str, str]) -> None:
        """Move the runs with these tags to those that MLflow keeps as deleted."""
        with _reported():
            for run in self._search(experiment, tags):
                self._client.delete_run(run.info.run_id)

    def _search(self, experiment: str, tags: Mapping[str, str]) -> Any:
        query = " AND ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        return self._client.search_runs([experiment], query)

    def start(self, experiment: str, name: str, tags: Mapping[str, str], at: int) -> Entry:
        """Return a new run that started at a time [ms], which counts only once it is finished."""
        kept = {key: _clip(value, _TAG_LENGTH) for key, value in tags.items()}
        with _reported():
            run = self._client.create_run(experiment, at, kept, name)
        return Entry(run.info.run_id, name, kept)

    def finish(self, run: Entry, at: int, *, failed: bool = False) -> None:
        """Mark a run as whole at a time [ms], or as one that failed and is whole as that."""
        with _reported():
            self._client.set_terminated(run.id, "FAILED" if failed else "FINISHED", at)

    def rename(self, run: Entry, name: str) -> None:
        """Give a run another name."""
        with _reported():
            self._client.update_run(run.id, name=name)

    def log_points(self, run: Entry, points: Sequence[Point], at: int | None = None) -> None:
        """Add values to the metrics of a run, as of a time [ms]; without one, of now."""
        now = time.time_ns() // 1_000_000 if at is None else at
        with _reported():
            from mlflow.entities import Metric

            for batch in _batches(points, _METRICS_PER_BATCH):
                metrics = [Metric(point.name, point.value, now, point.step) for point in batch]
                self._client.log_batch(run.id, metrics=metrics)

    def log_params(self, run: Entry, params: Mapping[str, str]) -> None:
        """Set parameters, which MLflow never lets change; texts are cut at its limit."""
        with _reported():
            from mlflow.entities import Param

            for batch in _batches(list(params.items()), _PAIRS_PER_BATCH):
                pairs = [Param(name, _clip(value, _PARAM_LENGTH)) for name, value in batch]
                self._client.log_batch(run.id, params=pairs)

    def log_tags(self, run: Entry, tags: Mapping[str, str]) -> None:
        """Set or replace tags; texts are cut at MLflow's limit."""
        with _reported():
            from mlflow.entities import RunTag

            for batch in _batches(list(tags.items()), _PAIRS_PER_BATCH):
                pairs = [RunTag(name, _clip(value, _TAG_LENGTH)) for name, value in batch]
                self._client.log_batch(run.id, tags=pairs)

    def remove_tag(self, run: Entry, name: str) -> None:
        """Remove a tag, which the run must have."""
        with _reported():
            self._client.delete_tag(run.id, name)

    def log_data(self, run: Entry, data: DataSet) -> None:
        """Say what data a run used; the data stay where they are."""
        with _reported():
            from mlflow.entities import Dataset, DatasetInput, InputTag

            used = Dataset(
                data.name,
                data.digest[:_DIGEST_LENGTH],
                source_type="local",
                source=json.dumps({"uri": data.source.as_posix()}),
                schema=json.dumps({"mlflow_colspec": data.columns}),
                profile=json.dumps(dict(data.counts)) if data.counts else None,
            )
            context = InputTag("mlflow.data.context", data.context)
            self._client.log_inputs(run.id, [DatasetInput(used, [context])])

    def write_json(self, run: Entry, value: Mapping[str, Any], path: str) -> None:
        """Write a JSON file to the artifacts of a run, or replace it."""
        with _reported():
            self._client.log_text(run.id, json.dumps(value, indent=1, sort_keys=True) + "\n", path)

    def upload(self, run: Entry, path: Path, folder: str | None = None) -> None:
        """Copy a file, or a folder's content, to the artifacts of a run; a missing one is not."""
        with _reported():
            if path.is_dir():
                self._client.log_artifacts(run.id, str(path), folder)
            elif path.exists():
                self._client.log_artifact(run.id, str(path), folder)


def _entry(run: Any) -> Entry:
    metrics = frozenset(run.data.metrics)
    return Entry(run.info.run_id, run.info.run_name, run.data.tags, run.info.end_time, metrics)


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _clip(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
