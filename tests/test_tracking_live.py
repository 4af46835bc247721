"""Logging by the stages: a broken MLflow costs one warning, a broken file of ours an error."""

import sqlite3
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from filelock import FileLock
from tracked_study import TRACKING_MARKS, UNIT, runs_of, seed_folder, write_model, write_study

from clflow.errors import ClflowError, DataError
from clflow.tracking import store
from clflow.tracking.live import quietly, track_evaluation, track_tables, track_training
from clflow.tracking.runs import log_training
from clflow.tracking.sync import SyncReport, sync

pytestmark = TRACKING_MARKS


def test_stages_log_relative_to_the_repository(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_study(root)
    monkeypatch.chdir(root)
    track_training(*UNIT, {0: 2.0, 1: 0.0})
    track_evaluation(*UNIT)
    track_tables("demo")
    assert ["training_seconds" in run.data.metrics for run in runs_of(root, "run")] == [True, False]
    assert sync(Path()) == SyncReport(created=0, updated=0, unchanged=3)


def absent_mlflow(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)


def long_garbage(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "mlflow.db").write_bytes(b"garbage " * 1000)


def short_garbage(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "mlflow.db").write_bytes(b"garbage")


def folder_in_its_place(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "mlflow.db").mkdir()


def unknown_server(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://nowhere")


@pytest.mark.parametrize(
    "spoil", [absent_mlflow, long_garbage, short_garbage, folder_in_its_place, unknown_server]
)
def test_a_stage_survives_a_broken_store_with_one_warning(
    tmp_path: Path,
    spoil: Callable[[Path, pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_study(tmp_path)
    spoil(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    for track in (
        lambda: track_training(*UNIT, {0: 1.0, 1: 1.0}),
        lambda: track_evaluation(*UNIT),
        lambda: track_tables("demo"),
    ):
        track()
        output = capsys.readouterr()
        assert output.err == ""
        (line,) = output.out.splitlines()
        assert line.startswith("warning: MLflow failed")
    with pytest.raises(ClflowError, match="MLflow failed"):
        sync(tmp_path)


@pytest.mark.parametrize("holder", ["process", "database"])
def test_a_busy_store_is_given_up(
    tmp_path: Path, holder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model(tmp_path)
    monkeypatch.setattr(store, "_LOCK_SECONDS", 0.0)
    monkeypatch.setattr(store, "_BUSY_SECONDS", 0.0)
    with ExitStack() as held:
        if holder == "process":
            held.enter_context(FileLock(tmp_path / "mlflow.db.lock"))
        else:
            database = held.enter_context(closing(sqlite3.connect(tmp_path / "mlflow.db")))
            database.execute("BEGIN EXCLUSIVE")
        quietly(log_training, tmp_path, *UNIT, 0)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("warning: MLflow failed")


def test_logging_can_be_switched_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLFLOW_TRACKING", "off")
    monkeypatch.chdir(tmp_path)
    track_evaluation(*UNIT)
    assert capsys.readouterr().out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("run.json", "{", "is not JSON", id="torn"),
        pytest.param("run.json", '{"study": "demo"}', "dataset: Field required", id="key-missing"),
        pytest.param("model.json", None, "is missing", id="file-missing"),
        pytest.param("history.csv", None, "is missing", id="curves-missing"),
        pytest.param(
            "history.csv", "step,loss\n1,high\n", "not a table of numbers", id="no-number"
        ),
        pytest.param("history.csv", "loss\n1\n", "column step", id="no-step"),
    ],
)
def test_malformed_files_of_ours_are_errors_not_warnings(
    root: Path, name: str, content: str | None, message: str
) -> None:
    write_model(root)
    path = seed_folder(root) / name
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        quietly(log_training, root, *UNIT, 0)
