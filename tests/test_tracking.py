import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from clflow.errors import ClflowError, DataError
from clflow.tracking import store
from clflow.tracking.changes import Changes
from clflow.tracking.live import quietly, track_evaluation, track_tables, track_training
from clflow.tracking.means import load_means
from clflow.tracking.provenance import repository_tags
from clflow.tracking.records import flatten
from clflow.tracking.runs import log_evaluation, log_tables, log_training
from clflow.tracking.store import Store, TrackingError, tracking_uri
from clflow.tracking.sync import SyncReport, sync

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SYNC = """
from pathlib import Path
from clflow.tracking.sync import sync
report = sync(Path())
print("counts", report.created, report.updated, report.unchanged)
"""
UNIT = ("demo", "clflow", "bolt")
PARAMS = """
study:
  {name: demo, dataset: demo, layout: mvtec, root: data, index: x, categories: [bolt],
   methods: [clflow], seeds: [0]}
"""


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def seed_folder(root: Path, seed: int = 0, category: str = "bolt", study: str = "demo") -> Path:
    return root / "models" / study / "clflow" / category / f"seed-{seed}"


def write_model(
    root: Path, seed: int = 0, category: str = "bolt", study: str = "demo", steps: int = 3
) -> None:
    folder = seed_folder(root, seed, category, study)
    run = {
        "study": study,
        "dataset": "demo",
        "category": category,
        "method": "clflow",
        "seed": seed,
    }
    run |= {"settings": {"flow": {"steps": 8, "sizes": [2, 3]}, "note": "x" * 7000, "lr": None}}
    run |= {"digests": {"manifest": "m1", "bank": "b1"}, "versions": {"torch": "2.13.0"}}
    write_json(folder / "run.json", run | {"device": "cpu"})
    write_json(folder / "model.json", {"channels": 4})
    (folder / "model.safetensors").write_bytes(b"weights")
    rows = [f"{step},{step // 100},{1 / (step + 1)},{-step},,0.001" for step in range(steps)]
    header = "step,epoch,loss,nll,classification,learning_rate"
    (folder / "history.csv").write_text("\n".join([header, *rows]) + "\n")


def write_result(root: Path, seeds: dict[str, dict[str, float | None]]) -> None:
    result = {"study": "demo", "dataset": "demo", "category": "bolt", "method": "clflow"}
    rules = {"protocol": {"aupro": "limit 0.3"}, "counts": {"test_good": 7}, "digests": {}}
    write_json(root / "results/runs/demo/clflow/bolt.json", result | rules | {"seeds": seeds})


def write_tables(root: Path) -> None:
    (root / "tables").mkdir()
    rows = ["bolt,clflow,0,image_auroc,0.5", "bolt,clflow,1,image_auroc,0.7"]
    rows += ["nut,clflow,0,image_auroc,1.0", "nut,clflow,0,pixel_auroc,", "nut,fastflow,0,ap,0.25"]
    lines = ["dataset,category,method,seed,metric,value", *(f"demo,{row}" for row in rows)]
    (root / "tables/results.csv").write_text("\n".join(lines) + "\n")
    (root / "tables/summary.md").write_text("| table |\n")


def write_study(root: Path) -> None:
    for seed in (0, 1):
        write_model(root, seed)
        scores = root / "scores/demo/clflow/bolt" / f"seed-{seed}.parquet"
        scores.parent.mkdir(parents=True, exist_ok=True)
        scores.write_bytes(b"scores")
    write_result(root, {"0": {"image_auroc": 0.9, "pixel_auroc": None}, "1": {"image_auroc": 0.8}})
    (root / "overlays/demo/clflow/bolt").mkdir(parents=True)
    (root / "overlays/demo/clflow/bolt/a.png").write_bytes(b"picture")
    write_tables(root)
    (root / "params.yaml").write_text(PARAMS)


@pytest.fixture(autouse=True)
def _default_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("CLFLOW_TRACKING", raising=False)


@pytest.fixture(scope="session")
def race(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[int, str, str]]]:
    root = tmp_path_factory.mktemp("race")
    write_model(root, study="race")
    environment = {name: value for name, value in os.environ.items() if "TRACKING" not in name}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SYNC],
            cwd=root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate() for process in processes]
    return root, [(p.returncode, *out) for p, out in zip(processes, outputs, strict=True)]


@pytest.fixture
def root(race: tuple[Path, Any], tmp_path: Path) -> Path:
    shutil.copy(race[0] / "mlflow.db", tmp_path / "mlflow.db")
    return tmp_path


def runs_of(root: Path, kind: str, study: str = "demo") -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking_uri(root))
    experiment = client.get_experiment_by_name(study)
    found = client.search_runs([experiment.experiment_id], f"tags.`clflow.kind` = '{kind}'")
    return sorted(found, key=lambda run: run.info.run_name)


def history_of(root: Path, run: Any, metric: str) -> list[tuple[int, float]]:
    from mlflow import MlflowClient

    points = MlflowClient(tracking_uri=tracking_uri(root)).get_metric_history(
        run.info.run_id, metric
    )
    return [(point.step, point.value) for point in points]


def artifacts_of(root: Path, run: Any) -> set[str]:
    folder = root / "mlruns/demo" / run.info.run_id / "artifacts"
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_two_processes_share_a_fresh_store_without_messages_of_mlflow(
    race: tuple[Path, list[tuple[int, str, str]]],
) -> None:
    root, processes = race
    assert [code for code, _, _ in processes] == [0, 0]
    assert [error for _, _, error in processes] == ["", ""]
    lines = sorted(output.splitlines()[-1] for _, output, _ in processes)
    assert lines == ["counts 0 0 1", "counts 1 0 0"]
    assert all(len(output.splitlines()) == 3 for _, output, _ in processes)
    assert len(runs_of(root, "run", "race")) == len(runs_of(root, "method", "race")) == 1


def test_training_is_logged_under_its_method(root: Path) -> None:
    write_model(root)
    (root / "dvc.lock").write_text("lock")
    log_training(root, *UNIT, 0, seconds=12.5)
    (parent,), (child,) = runs_of(root, "method"), runs_of(root, "run")
    assert (parent.info.run_name, child.info.run_name) == ("clflow", "bolt/seed-0")
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.info.status == parent.info.status == "FINISHED"
    expected = {"clflow.digest.manifest": "m1", "clflow.digest.bank": "b1", "clflow.seed": "0"}
    assert expected.items() <= child.data.tags.items()
    assert {"clflow.digest.weights", "clflow.logged.dvc_lock"} <= child.data.tags.keys()
    assert child.data.metrics["train_seconds"] == 12.5
    assert artifacts_of(root, child) == {"model.json", "history.csv"}


def test_settings_become_parameters_within_the_limit_of_mlflow(root: Path) -> None:
    write_model(root)
    log_training(root, *UNIT, 0)
    params = runs_of(root, "run")[0].data.params
    assert len(params.pop("note")) == 6000
    assert params == {"flow.steps": "8", "flow.sizes": "[2, 3]", "lr": "null"}


def test_curves_keep_every_point_and_leave_blanks_out(root: Path) -> None:
    write_model(root, steps=400)
    log_training(root, *UNIT, 0)
    (run,) = runs_of(root, "run")
    assert run.data.metrics.keys() == {"loss", "nll", "learning_rate"}
    assert sorted(history_of(root, run, "nll")) == [(step, -step) for step in range(400)]


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


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("run.json", id="settings"),
        "model.json",
        pytest.param("history.csv", id="curves"),
    ],
)
def test_a_changed_run_becomes_a_new_child(root: Path, name: str) -> None:
    write_model(root)
    log_training(root, *UNIT, 0)
    path = seed_folder(root) / name
    path.write_text(path.read_text().replace("0.001", "0.002").replace("4", "5").replace("8", "9"))
    assert len(log_training(root, *UNIT, 0).created) == 1
    assert len(runs_of(root, "run")) == 2
    assert len(runs_of(root, "method")) == 1


def test_evaluation_fills_the_run_of_each_seed(root: Path) -> None:
    write_study(root)
    changes = log_evaluation(root, *UNIT)
    first, second = runs_of(root, "run")
    assert changes == Changes(created=frozenset([first.info.run_id, second.info.run_id]))
    assert (first.data.metrics["image_auroc"], second.data.metrics["image_auroc"]) == (0.9, 0.8)
    assert "pixel_auroc" not in first.data.metrics
    expected = {"clflow.protocol.aupro": "limit 0.3", "clflow.count.test_good": "7"}
    assert expected.items() <= first.data.tags.items()
    training = {"model.json", "history.csv"}
    assert artifacts_of(root, first) == training | {"seed-0.parquet", "overlays/a.png"}
    assert artifacts_of(root, second) == training | {"seed-1.parquet"}


def test_only_a_changed_evaluation_is_logged_again_and_once(root: Path) -> None:
    write_study(root)
    log_evaluation(root, *UNIT)
    write_result(root, {"0": {"image_auroc": None}, "1": {"image_auroc": 0.8}})
    first, second = runs_of(root, "run")
    changes = log_evaluation(root, *UNIT)
    assert changes.updated == {first.info.run_id}
    assert changes.unchanged == {second.info.run_id}
    assert not log_evaluation(root, *UNIT).updated
    (_, before), (_, after) = history_of(root, first, "image_auroc")
    assert before == 0.9
    assert math.isnan(after)
    assert len(history_of(root, second, "image_auroc")) == 1


def test_results_without_their_model_are_left_out_with_a_note(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(root)
    shutil.rmtree(seed_folder(root, 1))
    assert len(log_evaluation(root, *UNIT).created) == 1
    assert "demo/clflow/bolt seeds [1]" in capsys.readouterr().out


def test_tables_are_a_run_and_means_belong_to_the_methods(root: Path) -> None:
    write_study(root)
    log_tables(root, "demo", Path("tables"))
    (tables,) = runs_of(root, "tables")
    assert artifacts_of(root, tables) == {"results.csv", "summary.md"}
    clflow, fastflow = runs_of(root, "method")
    assert clflow.data.metrics == {"mean_image_auroc": pytest.approx(0.8)}
    assert fastflow.data.metrics == {"mean_ap": 0.25}


def test_sync_rebuilds_what_live_logging_wrote(race: tuple[Path, Any], root: Path) -> None:
    write_study(root)
    copy = root / "copy"
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("copy", "mlflow.db"))
    for seed in (0, 1):
        log_training(root, *UNIT, seed)
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
            assert live.data.tags.keys() == rebuilt.data.tags.keys()


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


def test_stages_log_relative_to_the_repository(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_study(root)
    monkeypatch.chdir(root)
    track_training(*UNIT, {0: 2.0, 1: 0.0})
    track_evaluation(*UNIT)
    track_tables("demo")
    assert ["train_seconds" in run.data.metrics for run in runs_of(root, "run")] == [True, False]
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


def test_a_model_moved_by_hand_is_refused(root: Path) -> None:
    write_model(root, seed=0)
    seed_folder(root, 0).rename(seed_folder(root, 4))
    with pytest.raises(DataError, match="written for seed 0"):
        log_training(root, *UNIT, 4)


def test_folders_that_are_being_written_are_not_synced(root: Path) -> None:
    write_model(root)
    partial = seed_folder(root).parent.with_name(".nut.partial") / "seed-0"
    shutil.copytree(seed_folder(root), partial)
    shutil.copytree(seed_folder(root), seed_folder(root).with_name("seed-0.backup"))
    assert sync(root) == SyncReport(created=1, updated=0, unchanged=0)


def test_commit_and_changes_are_known_inside_a_repository_only(tmp_path: Path) -> None:
    def git(*command: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *command], cwd=tmp_path, check=True, capture_output=True)

    assert repository_tags(tmp_path) == {}
    git("init")
    assert repository_tags(tmp_path) == {}
    (tmp_path / "file").write_text("a")
    git("add", "file")
    git("commit", "-m", "one")
    tags = repository_tags(tmp_path)
    assert len(tags["clflow.logged.git_commit"]) == 40
    assert tags["clflow.logged.git_dirty"] == "false"
    (tmp_path / "file").write_text("b")
    assert repository_tags(tmp_path)["clflow.logged.git_dirty"] == "true"


def test_the_users_tracking_uri_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tracking_uri(tmp_path) == f"sqlite:///{tmp_path.resolve()}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    assert tracking_uri(tmp_path) == "http://localhost:5000"


def test_means_weigh_categories_alike_and_skip_undefined_values(tmp_path: Path) -> None:
    write_tables(tmp_path)
    means = load_means(tmp_path / "tables/results.csv")
    assert means == {"clflow": {"image_auroc": pytest.approx(0.8)}, "fastflow": {"ap": 0.25}}


@pytest.mark.parametrize(
    "content", ["method,value\n", "method,metric,category,value\na,b,c,high\n"]
)
def test_a_malformed_table_is_an_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "results.csv"
    path.write_text(content + "a,1\n")
    with pytest.raises(DataError, match="not a results table"):
        load_means(path)


def test_flatten_keeps_text_and_writes_the_rest_as_json() -> None:
    settings = {"a": {"b": {"c": True}, "d": {}}, "e": "text", "f": [1, 2], "g": None}
    flat = {"a.b.c": "true", "a.d": "{}", "e": "text", "f": "[1, 2]", "g": "null"}
    assert flatten(settings) == flat


def test_changes_count_each_run_once() -> None:
    made, filled = Changes(created=frozenset("ab")), Changes(updated=frozenset("bc"))
    seen = Changes(unchanged=frozenset("acd"))
    expected = Changes(frozenset("ab"), frozenset("c"), frozenset("d"))
    assert made | filled | seen == expected
