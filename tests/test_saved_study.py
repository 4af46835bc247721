import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from measured import write_cost, write_selection_bias
from ruamel.yaml import YAML
from run_files import scores_of, write_scores

from clflow.detectors.registry import find_method
from clflow.errors import SettingsError, StorageError
from clflow.files import write_json
from clflow.metrics.registry import METRICS
from clflow.pipeline import saved as saved_module
from clflow.pipeline.saved import Finished, save_study
from clflow.report.diagnosis import Places
from clflow.report.evidence import interval_table
from clflow.report.results import csv_text, load_results, load_saved_scores
from clflow.report.settings import TabulateSettings
from clflow.report.tables import TABLE_FILES, Sources, write_tables
from clflow.study.settings import StudySettings

STUDY: dict[str, Any] = {
    "name": "small",
    "dataset": "own",
    "layout": "folder",
    "source": "folder",
    "index": "data/raw/own/source.json",
    "categories": {"bolt": "/srv/secret/images/bolt", "washer": "/srv/secret/images/washer"},
    "methods": ["fastflow", "clflow"],
    "seeds": [0, 1],
    "step_fraction": 1.0,
}
WEIGHTS = "D:\\models\\net.pth"
LOCK: dict[str, Any] = {
    "schema": "2.0",
    "stages": {
        "prepare@bolt": {
            "cmd": "python -P stages/prepare.py bolt",
            "deps": [{"path": "/srv/secret/images/bolt", "md5": "1e5.dir", "size": 3}],
        }
    },
}
TABULATE: dict[str, Any] = {"metrics": ["image_ap"], "resamples": 200}
KINDS = {".lock", ".csv", ".md", ".tex", ".json", ".yaml"}


def write_run(results: Path, method: str, category: str) -> None:
    run = {
        "study": results.name,
        "dataset": STUDY["dataset"],
        "category": category,
        "method": method,
        "protocol": {"threshold": "0.95 quantile"},
        "counts": {"test_good": 3},
        "digests": {"manifest": "m", "bank": "b"},
        "seeds": {
            str(seed): dict.fromkeys(METRICS, 0.25 + seed / 7) | {"image_auroc": 0.6 + seed / 4}
            for seed in STUDY["seeds"]
        },
    }
    write_json(results / method / f"{category}.json", run)
    scores = results.parents[2] / "scores" / results.name
    for seed in STUDY["seeds"]:
        write_scores(scores, method, category, seed, scores_of(0.6 + seed / 4))


def write_params(path: Path, **study: Any) -> None:
    own = {"backbone": {"name": "resnet18", "weights": WEIGHTS, "sha256": "0" * 64}}
    train = {"clflow": own, "fastflow": {}}
    with path.open("w") as file:
        sections = {"study": STUDY | study, "train": train, "evaluate": {"worst": 4}}
        YAML().dump(sections | {"tabulate": TABULATE}, file)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a finished study, and files beside it that must not be saved."""
    results = tmp_path / "results" / "runs" / "small"
    for method, category in itertools.product(STUDY["methods"], STUDY["categories"]):
        write_run(results, method, category)
    write_run(results, "clflow", "stale")
    (results / "clflow" / "bolt.png").write_bytes(b"pixels")
    write_params(tmp_path / "params.yaml")
    with (tmp_path / "dvc.lock").open("w") as file:
        YAML().dump(LOCK, file)
    study = StudySettings.model_validate(STUDY)
    sources = Sources(results, tmp_path / "scores" / "small")
    settings = TabulateSettings.model_validate(TABULATE)
    write_tables(study, sources, settings, tmp_path / "tables")
    (tmp_path / "tables" / "map.png").write_bytes(b"pixels")
    return tmp_path


def save(root: Path, name: str = "first", *, replace: bool = False) -> Path:
    finished = Finished(
        params=root / "params.yaml",
        tables=root / "tables",
        results=root / "results/runs/small",
        scores=root / "scores/small",
        diagnoses=Places(root / "results/cost/small", root / "results/selection_bias/small"),
        lock=root / "dvc.lock",
    )
    note = "dvc repro on a laptop"
    return save_study(name, root / "results" / "studies", finished, note, replace=replace)


def test_only_the_numbers_of_the_study_are_saved(root: Path) -> None:
    folder = save(root)
    saved = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert folder == root / "results" / "studies" / "first"
    assert saved == [
        "comparisons.csv",
        "dvc.lock",
        "environment.json",
        "intervals.csv",
        "published.csv",
        "results.csv",
        "runs/clflow/bolt.json",
        "runs/clflow/washer.json",
        "runs/fastflow/bolt.json",
        "runs/fastflow/washer.json",
        "scores/bolt.csv",
        "scores/washer.csv",
        "study.yaml",
        "summary.md",
        "summary.tex",
    ]
    assert {Path(name).suffix for name in saved} <= KINDS
    assert [path.name for path in folder.parent.iterdir()] == ["first"]


def test_saved_files_equal_the_originals(root: Path) -> None:
    folder = save(root)
    for name in TABLE_FILES:
        assert (folder / name).read_bytes() == (root / "tables" / name).read_bytes()
    for path in (folder / "runs").rglob("*.json"):
        original = root / "results" / "runs" / "small" / path.relative_to(folder / "runs")
        assert path.read_bytes() == original.read_bytes()


def test_intervals_can_be_rechecked_from_what_is_saved(root: Path) -> None:
    folder = save(root)
    names = list(STUDY["categories"])
    scores = {name: load_saved_scores(folder / "scores" / f"{name}.csv") for name in names}
    kept = YAML(typ="safe").load(folder / "study.yaml")["tabulate"]
    settings = TabulateSettings.model_validate(kept)
    again = interval_table(load_results(folder / "results.csv"), scores, settings)
    assert csv_text(again) == (folder / "intervals.csv").read_text()


def test_cost_and_selection_bias_gap_are_saved_where_they_were_measured(root: Path) -> None:
    write_cost(root / "results/cost/small", "clflow")
    points = [[{"image_auroc": 0.6}, {"image_auroc": 0.85}], [{"image_auroc": 0.85}]]
    write_selection_bias(root / "results/selection_bias/small", "clflow", "bolt", points)
    folder = save(root)
    for name, mark in (("summary.md", "## "), ("summary.tex", r"\caption{")):
        before, after = (path.read_text() for path in (root / "tables" / name, folder / name))
        assert after.startswith(before)
        for title in ("Cost", "Selection bias"):
            assert f"{mark}{title}" in after[len(before) :]
    assert (folder / "cost.csv").read_text().startswith("method,category,device,")
    assert (
        (folder / "selection_bias.csv").read_text().startswith("category,method,seeds,metric,last,")
    )
    assert (root / "tables/summary.md").read_text().count("## Cost") == 0


def test_a_malformed_cost_stops_a_save(root: Path) -> None:
    write_cost(root / "results/cost/small", "clflow").write_text("{}")
    with pytest.raises(SettingsError, match=r"cannot be saved: .*clflow\.json is malformed"):
        save(root)
    assert not (root / "results" / "studies").exists()


def test_scores_that_are_too_large_are_left_out_and_named(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(saved_module, "_SCORE_LIMIT_BYTES", 100)
    assert not (save(root) / "scores").exists()
    assert "raw scores are left out" in capsys.readouterr().out


def test_complete_settings_are_saved_without_machine_paths(root: Path) -> None:
    saved = YAML(typ="safe").load(save(root) / "study.yaml")
    assert saved["study"] == STUDY | {"categories": {"bolt": "bolt", "washer": "washer"}}
    own = {"name": "resnet18", "weights": "net.pth", "sha256": "0" * 64}
    assert saved["train"] == {
        "fastflow": find_method("fastflow").complete({}),
        "clflow": find_method("clflow").complete({"backbone": own}),
    }
    complete = TabulateSettings.model_validate(TABULATE).model_dump(mode="json")
    assert saved["tabulate"] == complete


def test_lock_file_is_saved_without_machine_paths(root: Path) -> None:
    saved = YAML(typ="safe").load(save(root) / "dvc.lock")
    (dependency,) = saved["stages"]["prepare@bolt"]["deps"]
    assert dependency == {"path": "bolt", "md5": "1e5.dir", "size": 3}
    dependency["path"] = "/srv/secret/images/bolt"
    assert saved == LOCK


def test_no_saved_file_names_a_machine_path(root: Path) -> None:
    folder = save(root)
    for path in folder.rglob("*"):
        if path.is_file():
            assert b"secret" not in path.read_bytes()
            assert b"models" not in path.read_bytes()


def test_a_study_without_a_lock_file_is_saved_without_one(root: Path) -> None:
    (root / "dvc.lock").unlink()
    assert not (save(root) / "dvc.lock").exists()


def test_a_damaged_lock_file_stops_a_save(root: Path) -> None:
    (root / "dvc.lock").write_text("stages: [")
    with pytest.raises(SettingsError, match=r"dvc\.lock is not valid YAML: run `dvc repro`"):
        save(root)
    assert not list(root.glob("results/studies/*"))


@pytest.mark.parametrize(
    ("path", "saved"),
    [
        pytest.param("parts/{}", "parts/{}", id="inside the repository"),
        pytest.param("/srv/{}", "{}", id="absolute"),
        pytest.param("../shared/{}", "{}", id="above the repository"),
        pytest.param("~/{}", "{}", id="below the home folder"),
    ],
)
def test_folder_is_saved_as_its_name_unless_it_is_in_the_repository(
    root: Path, path: str, saved: str
) -> None:
    names = STUDY["categories"]
    write_params(root / "params.yaml", categories={name: path.format(name) for name in names})
    kept = YAML(typ="safe").load(save(root) / "study.yaml")["study"]["categories"]
    assert kept == {name: saved.format(name) for name in names}


def test_the_environment_names_versions_but_no_machine(root: Path) -> None:
    environment = json.loads((save(root) / "environment.json").read_text())
    assert environment.keys() == {"cpu_count", "note", "platform", "python", "versions"}
    assert environment["note"] == "dvc repro on a laptop"
    assert {"torch", "clflow", "numpy"} <= environment["versions"].keys()
    assert re.fullmatch(r"\w+ \w+", environment["platform"])


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", ".hidden", "-x", "x" * 65, "a\n"])
def test_a_bad_name_is_refused(root: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="must be 1 to 64 letters"):
        save(root, name)
    assert not (root / "results" / "studies").exists()


def test_a_saved_study_is_replaced_only_when_asked(root: Path) -> None:
    (save(root) / "old.txt").write_text("old")
    with pytest.raises(SettingsError, match="exists"):
        save(root)
    assert not (save(root, replace=True) / "old.txt").exists()


@pytest.mark.parametrize(
    "missing",
    [
        "tables/results.csv",
        "tables/summary.md",
        "tables/summary.tex",
        "tables/intervals.csv",
        "tables/comparisons.csv",
        "tables/published.csv",
        "results/runs/small/clflow/washer.json",
    ],
)
def test_an_unfinished_study_is_refused(root: Path, missing: str) -> None:
    (root / missing).unlink()
    with pytest.raises(SettingsError, match=r"'small' is not finished: .*missing; run `dvc repro`"):
        save(root)
    assert not (root / "results" / "studies").exists()


def test_a_study_without_its_scores_is_refused(root: Path) -> None:
    (root / "scores/small/washer/clflow/seed-1.parquet").unlink()
    with pytest.raises(SettingsError, match=r"'small' is not finished: cannot read raw scores"):
        save(root)
    assert not (root / "results" / "studies").exists()


def test_a_study_with_a_failed_training_is_finished(root: Path) -> None:
    path = root / "results/runs/small/clflow/washer.json"
    run = json.loads(path.read_text())
    run["seeds"]["1"], run["failures"] = dict.fromkeys(METRICS), {"1": "it diverged"}
    write_json(path, run)
    (root / "scores/small/washer/clflow/seed-1.parquet").unlink()
    sources = Sources(root / "results/runs/small", root / "scores/small")
    settings = TabulateSettings.model_validate(TABULATE)
    write_tables(StudySettings.model_validate(STUDY), sources, settings, root / "tables")
    folder = save(root)
    assert "† clflow on washer, seed 1: it diverged." in (folder / "summary.md").read_text()
    assert json.loads((folder / "runs/clflow/washer.json").read_text()) == run
    kept = load_saved_scores(folder / "scores/washer.csv").by_run
    assert kept.keys() == {("fastflow", 0), ("fastflow", 1), ("clflow", 0)}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"seeds": [0]}, id="other seeds"),
        pytest.param({"methods": ["clflow"]}, id="other methods"),
        pytest.param({"categories": {"washer": "washer", "bolt": "bolt"}}, id="another order"),
    ],
)
def test_tables_of_other_settings_are_refused(root: Path, change: dict[str, Any]) -> None:
    write_params(root / "params.yaml", **change)
    with pytest.raises(SettingsError, match="does not hold the results of study 'small'"):
        save(root)


def test_tables_older_than_the_runs_are_refused(root: Path) -> None:
    path = root / "results" / "runs" / "small" / "clflow" / "bolt.json"
    path.write_text(path.read_text().replace("0.25", "0.26"))
    with pytest.raises(SettingsError, match="does not hold the results of study 'small'"):
        save(root)


def test_the_runs_of_another_study_are_refused(root: Path) -> None:
    write_params(root / "params.yaml", name="large")
    with pytest.raises(SettingsError, match="not the results folder of the study 'large'"):
        save(root)


def test_a_copy_that_cannot_be_written_is_reported(root: Path) -> None:
    (root / "results" / "studies").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="cannot write"):
        save(root)
