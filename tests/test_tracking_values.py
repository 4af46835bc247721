"""Values for MLflow: means of tables, flat settings, the commit, counts of changes."""

import subprocess
from pathlib import Path

import pytest
from tracked_study import write_tables

from clflow.report.results import load_results
from clflow.report.summary import mean_metrics, summarize
from clflow.study.training import flatten
from clflow.tracking.notes import repository_state
from clflow.tracking.runs import Changes


def test_commit_and_changes_are_known_inside_a_repository_only(tmp_path: Path) -> None:
    def git(*command: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *command], cwd=tmp_path, check=True, capture_output=True)

    assert repository_state(tmp_path) == {}
    git("init")
    assert repository_state(tmp_path) == {}
    (tmp_path / "file").write_text("a")
    git("add", "file")
    git("commit", "-m", "one")
    state = repository_state(tmp_path)
    assert len(state["git_commit"]) == 40
    assert state["git_dirty"] == "false"
    (tmp_path / "file").write_text("b")
    assert repository_state(tmp_path)["git_dirty"] == "true"


def test_means_are_those_of_the_table_over_complete_categories(tmp_path: Path) -> None:
    write_tables(tmp_path)
    results = load_results(tmp_path / "tables/results.csv")
    means = mean_metrics(results)
    # fastflow has no value on nut, seed 1, so nut counts for no method
    assert means == {
        "clflow": {"image_auroc": pytest.approx(0.6)},
        "fastflow": {"image_auroc": pytest.approx(0.5)},
    }
    last = summarize(results, "image_auroc").mean.iloc[-1]
    assert last.to_dict() == {method: own["image_auroc"] for method, own in means.items()}


def test_flatten_keeps_text_and_writes_the_rest_as_json() -> None:
    settings = {"a": {"b": {"c": True}, "d": {}}, "e": "text", "f": [1, 2], "g": None}
    flat = {"a.b.c": "true", "a.d": "{}", "e": "text", "f": "[1, 2]", "g": "null"}
    assert flatten(settings) == flat


def test_changes_count_each_run_once() -> None:
    made, filled = Changes(created=frozenset("ab")), Changes(updated=frozenset("bc"))
    seen = Changes(unchanged=frozenset("acd"))
    expected = Changes(frozenset("ab"), frozenset("c"), frozenset("d"))
    assert made | filled | seen == expected
