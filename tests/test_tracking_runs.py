"""What training, evaluation and tables leave in MLflow."""

import math
import shutil
from pathlib import Path

import pytest
from tracked_study import (
    TRACKING_MARKS,
    UNIT,
    artifacts_of,
    history_of,
    note_of,
    record_of,
    runs_of,
    seed_folder,
    write_failure,
    write_model,
    write_result,
    write_study,
)

from clflow.errors import DataError
from clflow.files import sha256_of
from clflow.report.results import load_results
from clflow.report.summary import mean_metrics
from clflow.study.paths import TABLE_FILES
from clflow.tracking.runs import Changes, log_evaluation, log_training
from clflow.tracking.tables import log_tables

pytestmark = TRACKING_MARKS

RECORD = "provenance/training.json"


def test_training_is_logged_under_its_method(root: Path) -> None:
    write_model(root)
    (root / "dvc.lock").write_text("lock")
    log_training(root, *UNIT, 0, seconds=12.5)
    (parent,), (child,) = runs_of(root, "method"), runs_of(root, "run")
    assert (parent.info.run_name, child.info.run_name) == ("clflow/mean", "clflow/bolt/seed-0")
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.info.status == parent.info.status == "FINISHED"
    assert child.data.metrics["training_seconds"] == 12.5
    assert artifacts_of(root, child) == {"model.json", "history.csv", RECORD}
    record = record_of(root, child, "training")
    weights = sha256_of(seed_folder(root) / "model.safetensors")
    assert record["digests"] == {"manifest": "m1", "bank": "b1", "weights": weights}
    assert record["versions"] == {"torch": "2.13.0"}
    assert record["logged"]["dvc_lock"] == sha256_of(root / "dvc.lock")


def test_the_sheet_of_an_alignment_is_logged_with_its_model(root: Path) -> None:
    write_model(root)
    (seed_folder(root) / "alignment.png").write_bytes(b"sheet")
    log_training(root, *UNIT, 0)
    (child,) = runs_of(root, "run")
    assert artifacts_of(root, child) == {"model.json", "history.csv", "alignment.png", RECORD}
    assert len(log_training(root, *UNIT, 0).unchanged) == 1


def test_a_sheet_that_came_later_or_changed_is_added_to_the_run_it_belongs_to(root: Path) -> None:
    write_model(root)
    log_training(root, *UNIT, 0)
    (child,) = runs_of(root, "run")
    for content in (b"sheet", b"other"):
        (seed_folder(root) / "alignment.png").write_bytes(content)
        changes = log_training(root, *UNIT, 0)
        assert changes == Changes(updated=frozenset([child.info.run_id]))
        assert len(log_training(root, *UNIT, 0).unchanged) == 1
        (again,) = runs_of(root, "run")
        assert artifacts_of(root, again) == {"model.json", "history.csv", "alignment.png", RECORD}
        stored = root / "mlruns/demo" / child.info.run_id / "artifacts/alignment.png"
        assert stored.read_bytes() == content


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
    record = record_of(root, first, "evaluation")
    assert record["protocol"] == {"aupro": "limit 0.3"}
    assert record["counts"] == {"test_good": 7}
    assert "- aupro: limit 0.3" in note_of(first)
    training = {"model.json", "history.csv", RECORD, "provenance/evaluation.json"}
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


def test_a_failed_training_is_a_failed_run_with_its_reason(root: Path) -> None:
    write_study(root)
    write_failure(root, 0, "it diverged")
    write_result(
        root,
        {"0": {"image_auroc": None}, "1": {"image_auroc": 0.8}},
        failures={"0": "it diverged"},
    )
    log_training(root, *UNIT, 0, seconds=2.0)
    log_evaluation(root, *UNIT)
    failed, whole = runs_of(root, "run")
    assert (failed.info.status, whole.info.status) == ("FAILED", "FINISHED")
    assert [run.data.tags["clflow.failed"] for run in (failed, whole)] == ["true", "false"]
    assert note_of(failed).count("**Failed:** it diverged") == 1
    assert "Failed" not in note_of(whole)
    assert failed.data.params["flow.steps"] == "8"
    assert failed.data.metrics == {"training_seconds": 2.0}
    (root / "scores/demo/bolt/clflow/seed-0.parquet").unlink()
    assert "overlays/a.png" in artifacts_of(root, whole)
    assert not log_training(root, *UNIT, 0).created
    assert not log_evaluation(root, *UNIT).updated
    write_model(root, 0)
    (seed_folder(root, 0) / "failed.json").unlink()
    assert len(log_training(root, *UNIT, 0).created) == 1


def test_a_seed_whose_scores_were_not_finite_is_tagged_until_it_is_well(root: Path) -> None:
    write_study(root)
    bad = {"0": {"image_auroc": None}, "1": {"image_auroc": 0.8}}
    write_result(root, bad, failures={"0": "scores are not finite"})
    log_evaluation(root, *UNIT)
    first, second = runs_of(root, "run")
    assert [run.data.tags["clflow.failed"] for run in (first, second)] == ["true", "false"]
    assert "**Failed:** scores are not finite" in note_of(first)
    write_result(root, {"0": {"image_auroc": 0.7}, "1": {"image_auroc": 0.8}})
    log_evaluation(root, *UNIT)
    assert runs_of(root, "run")[0].data.tags["clflow.failed"] == "false"
    assert "Failed" not in note_of(runs_of(root, "run")[0])


def test_methods_say_which_runs_failed(root: Path) -> None:
    write_study(root)
    log_tables(root, "demo", Path("tables"))
    whole, failing = runs_of(root, "method")
    assert [run.data.tags["clflow.failed"] for run in (whole, failing)] == ["false", "true"]
    assert note_of(whole).endswith("**Failed runs:** none")
    assert note_of(failing).endswith("**Failed runs:**\n\n- nut seed 1")


def test_tables_are_a_run_and_means_belong_to_the_methods(root: Path) -> None:
    write_study(root)
    log_tables(root, "demo", Path("tables"))
    (tables,) = runs_of(root, "tables")
    assert artifacts_of(root, tables) == {"results.csv", "summary.md"}
    means = mean_metrics(load_results(root / "tables/results.csv"))
    for run, method in zip(runs_of(root, "method"), ("clflow", "fastflow"), strict=True):
        assert run.data.metrics == {f"mean_{name}": value for name, value in means[method].items()}


def test_a_mean_that_has_become_undefined_is_overwritten(root: Path) -> None:
    write_study(root)
    log_tables(root, "demo", Path("tables"))
    table = root / "tables/results.csv"
    table.write_text(
        table.read_text().replace("bolt,clflow,0,image_auroc,0.5", "bolt,clflow,0,image_auroc,")
    )
    log_tables(root, "demo", Path("tables"))
    assert all(math.isnan(run.data.metrics["mean_image_auroc"]) for run in runs_of(root, "method"))


def test_all_table_files_are_uploaded_and_a_changed_one_makes_a_new_run(root: Path) -> None:
    write_study(root)
    for name in TABLE_FILES:
        path = root / "tables" / name
        path.write_text(path.read_text() if path.exists() else "a\n")
    log_tables(root, "demo", Path("tables"))
    (tables,) = runs_of(root, "tables")
    assert artifacts_of(root, tables) == set(TABLE_FILES)
    assert not log_tables(root, "demo", Path("tables")).created
    (root / "tables/intervals.csv").write_text("b\n")
    assert len(log_tables(root, "demo", Path("tables")).created) == 1
    clflow, _ = runs_of(root, "method")
    assert len(history_of(root, clflow, "mean_image_auroc")) == 1


def test_a_model_moved_by_hand_is_refused(root: Path) -> None:
    write_model(root, seed=0)
    seed_folder(root, 0).rename(seed_folder(root, 4))
    with pytest.raises(DataError, match="written for seed 0"):
        log_training(root, *UNIT, 4)
