"""The store: where it is, and what is refused in its place."""

import shutil
from pathlib import Path

import pytest
from tracked_study import TRACKING_MARKS, UNIT, write_model

from clflow.tracking.runs import log_training
from clflow.tracking.store import TrackingError, tracking_uri

pytestmark = TRACKING_MARKS


def test_garbage_is_not_overwritten(tmp_path: Path) -> None:
    write_model(tmp_path)
    (tmp_path / "mlflow.db").write_bytes(b"my notes")
    with pytest.raises(TrackingError, match=r"delete mlflow\.db"):
        log_training(tmp_path, *UNIT, 0)
    assert (tmp_path / "mlflow.db").read_bytes() == b"my notes"


def test_a_store_of_another_place_is_refused(root: Path) -> None:
    write_model(root)
    log_training(root, *UNIT, 0)
    moved = root / "moved"
    moved.mkdir()
    for name in ("models", "mlruns"):
        shutil.copytree(root / name, moved / name)
    shutil.copy(root / "mlflow.db", moved)
    with pytest.raises(TrackingError, match="moved or copied"):
        log_training(moved, *UNIT, 0)


def test_the_users_tracking_uri_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tracking_uri(tmp_path) == f"sqlite:///{tmp_path.resolve()}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    assert tracking_uri(tmp_path) == "http://localhost:5000"
