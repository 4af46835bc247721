"""Banks in MLflow: what is logged, once, and again from the files."""

import math
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from tracked_study import (
    TRACKING_MARKS,
    artifacts_of,
    data_of,
    note_of,
    own_tags,
    record_of,
    runs_of,
    write_model,
)

from clflow.errors import DataError
from clflow.files import sha256_of, write_json
from clflow.tracking.banks import load_statistics, log_bank
from clflow.tracking.live import track_bank
from clflow.tracking.store import Point
from clflow.tracking.sync import SyncReport, sync

pytestmark = TRACKING_MARKS

SUMMARY: dict[str, Any] = {
    "dataset": "demo",
    "category": "bolt",
    "manifest": "m1",
    "synthesize": {"generator": "mixture", "per_image": 4, "nsa": {"patches": None}},
    "resolved": {"nsa": {"patches": 3}, "perlin": {"scale": [1, 2]}},
    "background": {"kind": "object", "brightness": 200.0},
    "reason": "object: measured",
    "splits": {
        "train": {
            "asked": 8,
            "written": 7,
            "failed": 1,
            "attempts": 13,
            "generators": {"nsa": 5, "perlin": 2},
        },
        "validation": {
            "asked": 2,
            "written": 2,
            "failed": 0,
            "attempts": 2,
            "generators": {"nsa": 2},
        },
    },
    "libraries": {"numpy": "2.4"},
}
STATISTICS = "group,images,area_median,change_median\nall,7,0.1,20\nnsa,5,0.2,\nperlin,2,0.05,9\n"


def write_bank(root: Path, category: str = "bolt") -> None:
    """Write what `synthesize` leaves, as far as it is logged."""
    bank, report = (
        root / place / "demo" / category for place in ("data/bank", "reports/synthesis")
    )
    write_json(bank / "bank.json", SUMMARY | {"category": category})
    for split in ("train", "validation"):
        (bank / split).mkdir()
        (bank / split / "manifest.jsonl").write_text(f"rows of {split}\n")
    report.mkdir(parents=True)
    (report / "sheet.png").write_bytes(b"picture")
    (report / "statistics.csv").write_text(STATISTICS)


def test_bank_is_logged_under_the_parent_of_its_stage(root: Path) -> None:
    for category in ("bolt", "nut"):
        write_bank(root, category)
        log_bank(root, "demo", category)
    (parent,), (run, other) = runs_of(root, "synthesize"), runs_of(root, "bank")
    assert [parent.info.run_name, run.info.run_name] == ["banks", "bank/bolt"]
    assert {one.data.tags["mlflow.parentRunId"] for one in (run, other)} == {parent.info.run_id}
    assert {one.info.status for one in (parent, run, other)} == {"FINISHED"}
    assert artifacts_of(root, run) == {"sheet.png", "statistics.csv", "provenance/bank.json"}
    assert run.data.params == {
        "generator": "mixture",
        "per_image": "4",
        "nsa.patches": "null",
        "resolved.nsa.patches": "3",
        "resolved.perlin.scale": "[1, 2]",
        "background.kind": "object",
        "background.brightness": "200.0",
    }


def test_counts_and_statistics_are_metrics(root: Path) -> None:
    write_bank(root)
    log_bank(root, "demo", "bolt")
    metrics = runs_of(root, "bank")[0].data.metrics
    counts = {f"train_{name}": value for name, value in SUMMARY["splits"]["train"].items()}
    del counts["train_generators"]
    expected = counts | {
        "nsa/train_written": 5,
        "perlin/train_written": 2,
        "validation_failed": 0,
        "area_median": 0.1,
        "nsa/area_median": 0.2,
        "perlin/change_median": 9,
    }
    assert expected.items() <= metrics.items()
    assert not {"nsa/change_median", "nsa/validation_written"} & metrics.keys()
    assert not any(map(math.isnan, metrics.values()))


def test_record_note_and_data_lead_back_to_the_files(root: Path) -> None:
    write_bank(root)
    log_bank(root, "demo", "bolt")
    (run,) = runs_of(root, "bank")
    bank, report = root / "data/bank/demo/bolt", root / "reports/synthesis/demo/bolt"
    record = record_of(root, run, "bank")
    assert record["digests"] == {
        "manifest": "m1",
        "bank": sha256_of(bank / "train/manifest.jsonl"),
        "bank_validation": sha256_of(bank / "validation/manifest.jsonl"),
        "sheet": sha256_of(report / "sheet.png"),
        "statistics": sha256_of(report / "statistics.csv"),
    }
    assert record["libraries"] == {"numpy": "2.4"}
    assert "**bolt** of data set demo (object: measured)" in note_of(run)
    assert f"| `data/bank/demo/bolt/train` | `{record['digests']['bank'][:16]}` |" in note_of(run)
    assert own_tags(run).keys() == {"clflow.kind", "clflow.key", "clflow.study", "clflow.category"}
    assert data_of(run)["training"].name == "demo/bolt/train"
    written = (bank / "bank.json").stat().st_mtime_ns // 1_000_000
    assert (run.info.start_time, run.info.end_time) == (written, written)


@pytest.mark.parametrize(
    "name",
    [
        "data/bank/demo/bolt/train/manifest.jsonl",
        "data/bank/demo/bolt/validation/manifest.jsonl",
        "reports/synthesis/demo/bolt/statistics.csv",
        "reports/synthesis/demo/bolt/sheet.png",
    ],
)
def test_only_a_changed_bank_becomes_a_new_child(root: Path, name: str) -> None:
    write_bank(root)
    log_bank(root, "demo", "bolt")
    assert not log_bank(root, "demo", "bolt").created
    path = root / name
    path.write_text(path.read_text().replace("all,7", "all,8") + "\n")
    assert len(log_bank(root, "demo", "bolt").created) == 1
    assert len(runs_of(root, "bank")) == 2
    assert len(runs_of(root, "synthesize")) == 1


def test_sync_rebuilds_what_live_logging_wrote(
    race: tuple[Path, Any], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bank(root)
    write_model(root)
    copy = root / "copy"
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("copy", "mlflow.db"))
    shutil.copy(race[0] / "mlflow.db", copy / "mlflow.db")
    with monkeypatch.context() as patch:
        patch.chdir(root)
        track_bank("demo", "bolt")
    assert sync(root) == SyncReport(created=1, updated=0, unchanged=1)
    assert sync(copy) == SyncReport(created=2, updated=0, unchanged=0)
    assert sync(copy) == SyncReport(created=0, updated=0, unchanged=2)
    (live,), (rebuilt,) = runs_of(root, "bank"), runs_of(copy, "bank")
    assert live.data.params == rebuilt.data.params
    assert live.data.metrics == rebuilt.data.metrics
    assert live.data.tags.keys() == rebuilt.data.tags.keys()
    assert artifacts_of(root, live) == artifacts_of(copy, rebuilt)


def test_report_without_its_bank_is_left_out_with_a_note(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for category in ("bolt", "nut"):
        write_bank(root, category)
    shutil.rmtree(root / "data/bank/demo/nut")
    assert sync(root) == SyncReport(created=1, updated=0, unchanged=0)
    assert "no bank of demo/nut on disk" in capsys.readouterr().out


def test_bank_without_a_report_and_unfinished_ones_are_not_synced(root: Path) -> None:
    write_bank(root)
    report = root / "reports/synthesis/demo/bolt"
    report.rename(report.with_name(".bolt.partial"))
    assert sync(root) == SyncReport(created=0, updated=0, unchanged=0)


@pytest.mark.parametrize("spoil", ["absent", "garbage"])
def test_stage_survives_a_broken_store_with_one_warning(
    tmp_path: Path,
    spoil: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_bank(tmp_path)
    if spoil == "absent":
        monkeypatch.setitem(sys.modules, "mlflow", None)
    else:
        (tmp_path / "mlflow.db").write_bytes(b"garbage " * 1000)
    monkeypatch.chdir(tmp_path)
    track_bank("demo", "bolt")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("warning: MLflow failed")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data/bank/demo/bolt/bank.json", "{", "is not JSON"),
        ("data/bank/demo/bolt/bank.json", '{"dataset": "demo"}', "category: Field required"),
        ("data/bank/demo/bolt/train/manifest.jsonl", None, "is missing"),
        ("reports/synthesis/demo/bolt/sheet.png", None, "is missing"),
        ("reports/synthesis/demo/bolt/statistics.csv", "group,a\nall,x\n", "not a table of"),
        ("reports/synthesis/demo/bolt/statistics.csv", "a\n1\n", "not a table of"),
    ],
)
def test_malformed_files_of_ours_are_errors(
    root: Path, name: str, content: str | None, message: str
) -> None:
    write_bank(root)
    (root / name).unlink()
    if content is not None:
        (root / name).write_text(content)
    with pytest.raises(DataError, match=message):
        log_bank(root, "demo", "bolt")


def test_bank_moved_by_hand_is_refused(root: Path) -> None:
    write_bank(root)
    for place in ("data/bank", "reports/synthesis"):
        (root / place / "demo/bolt").rename(root / place / "demo/nut")
    with pytest.raises(DataError, match="written for category 'bolt'"):
        log_bank(root, "demo", "nut")


def test_statistics_are_read_by_group(tmp_path: Path) -> None:
    (tmp_path / "statistics.csv").write_text(STATISTICS)
    assert load_statistics(tmp_path / "statistics.csv") == [
        Point("images", 7),
        Point("area_median", 0.1),
        Point("change_median", 20),
        Point("nsa/images", 5),
        Point("nsa/area_median", 0.2),
        Point("perlin/images", 2),
        Point("perlin/area_median", 0.05),
        Point("perlin/change_median", 9),
    ]
