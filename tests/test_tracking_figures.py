"""What the figures stage leaves in MLflow."""

from pathlib import Path

import pytest
from tracked_study import PARAMS, TRACKING_MARKS, artifacts_of, runs_of

from clflow.errors import DataError
from clflow.study.paths import StudyPaths
from clflow.tracking.figures import log_figures
from clflow.tracking.live import track_figures
from clflow.tracking.sync import SyncReport, sync

pytestmark = TRACKING_MARKS


def write_figure(root: Path, category: str, content: str, name: str = "roc.svg") -> None:
    folder = root / StudyPaths("demo").figures(category)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)


def test_figures_of_a_category_are_a_run_of_their_own(root: Path) -> None:
    for name in ("roc.svg", "roc.png"):
        write_figure(root, "bolt", "picture", name)
    log_figures(root, "demo", "bolt")
    (run,) = runs_of(root, "figures")
    assert run.info.run_name == "figures/bolt"
    assert run.data.tags["clflow.category"] == "bolt"
    assert run.info.status == "FINISHED"
    assert artifacts_of(root, run) == {"roc.svg", "roc.png"}


def test_same_figures_are_logged_once_and_changed_ones_again(root: Path) -> None:
    for category in ("bolt", "nut"):
        write_figure(root, category, "picture")
        log_figures(root, "demo", category)
    assert len(runs_of(root, "figures")) == 2
    assert not log_figures(root, "demo", "bolt").created
    write_figure(root, "bolt", "another picture")
    assert len(log_figures(root, "demo", "bolt").created) == 1


def test_sync_logs_what_the_stage_logs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_figure(root, "bolt", "picture")
    (root / "params.yaml").write_text(PARAMS)
    assert sync(root) == SyncReport(created=1, updated=0, unchanged=0)
    monkeypatch.chdir(root)
    track_figures("demo", "bolt")
    assert sync(root) == SyncReport(created=0, updated=0, unchanged=1)
    assert len(runs_of(root, "figures")) == 1


def test_no_figure_is_an_error(root: Path) -> None:
    with pytest.raises(DataError, match=r"bolt holds no figure; run `dvc repro figures`"):
        log_figures(root, "demo", "bolt")
