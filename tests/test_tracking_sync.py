"""Sync: the same store again from the files, whoever else writes to it."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from tracked_study import (
    TRACKING_MARKS,
    UNIT,
    artifacts_of,
    history_of,
    runs_of,
    seed_folder,
    write_failure,
    write_model,
    write_study,
)

from clflow.tracking.runs import log_evaluation, log_training
from clflow.tracking.store import Store
from clflow.tracking.sync import SyncReport, sync
from clflow.tracking.tables import log_tables

pytestmark = TRACKING_MARKS


def test_two_processes_share_a_fresh_store_without_messages_of_mlflow(
    race: tuple[Path, list[tuple[int, str, str]]],
) -> None:
    root, processes = race
    assert [code for code, _, _ in processes] == [0, 0]
    assert [error for _, _, error in processes] == ["", ""]
    lines = sorted(output.splitlines()[-1] for _, output, _ in processes)
    assert lines == ["counts 0 0 1", "counts 1 0 0"]
    assert all(len(output.splitlines()) == 1 for _, output, _ in processes)
    assert len(runs_of(root, "run", "race")) == len(runs_of(root, "method", "race")) == 1


def test_logging_twice_changes_nothing(root: Path) -> None:
    write_study(root)
    first = sync(root)
    runs = [
        run.to_dictionary() for kind in ("method", "run", "tables") for run in runs_of(root, kind)
    ]
    log_training(root, *UNIT, 0, seconds=3.0)
    assert sync(root) == SyncReport(created=0, updated=0, unchanged=3)
    again = [
        run.to_dictionary() for kind in ("method", "run", "tables") for run in runs_of(root, kind)
    ]
    assert first == SyncReport(created=3, updated=0, unchanged=0)
    assert again == runs
    assert len(history_of(root, runs_of(root, "run")[0], "image_auroc")) == 1


def test_sync_rebuilds_what_live_logging_wrote(race: tuple[Path, Any], root: Path) -> None:
    write_study(root)
    copy = root / "copy"
    for seed in (0, 1):
        log_training(root, *UNIT, seed, seconds=2.5 + seed)
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("copy", "mlflow.db", "mlruns"))
    log_evaluation(root, *UNIT)
    log_tables(root, "demo", Path("tables"))
    shutil.copy(race[0] / "mlflow.db", copy / "mlflow.db")
    assert sync(copy).created == 3
    for kind in ("method", "run", "tables"):
        pairs = zip(runs_of(root, kind), runs_of(copy, kind), strict=True)
        for live, rebuilt in pairs:
            assert live.data.params == rebuilt.data.params
            assert live.data.metrics == rebuilt.data.metrics
            assert artifacts_of(root, live) == artifacts_of(copy, rebuilt)
            assert live.info.run_name == rebuilt.info.run_name
            assert live.info.end_time - live.info.start_time == (
                rebuilt.info.end_time - rebuilt.info.start_time
            )
            for name, value in live.data.tags.items():
                assert name == "mlflow.parentRunId" or rebuilt.data.tags[name] == value
            assert live.data.tags.keys() == rebuilt.data.tags.keys()
            assert live.inputs.to_dictionary() == rebuilt.inputs.to_dictionary()


def test_what_an_interrupted_process_left_is_replaced(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(root)
    log_training(root, *UNIT, 0)
    write_model(root, seed=1)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "upload", interrupt)
        with pytest.raises(KeyboardInterrupt):
            log_training(root, *UNIT, 1)
    assert [run.info.status for run in runs_of(root, "run")] == ["FINISHED", "RUNNING"]
    log_training(root, *UNIT, 1)
    assert [run.info.status for run in runs_of(root, "run")] == ["FINISHED", "FINISHED"]


def test_failed_trainings_are_synced_once(root: Path) -> None:
    write_model(root)
    write_failure(root, 1, "it diverged")
    assert sync(root) == SyncReport(created=2, updated=0, unchanged=0)
    assert [run.info.status for run in runs_of(root, "run")] == ["FINISHED", "FAILED"]
    assert sync(root) == SyncReport(created=0, updated=0, unchanged=2)


def test_folders_that_are_being_written_are_not_synced(root: Path) -> None:
    write_model(root)
    partial = seed_folder(root).parent.with_name(".nut.partial") / "seed-0"
    shutil.copytree(seed_folder(root), partial)
    shutil.copytree(seed_folder(root), seed_folder(root).with_name("seed-0.backup"))
    assert sync(root) == SyncReport(created=1, updated=0, unchanged=0)
