"""Values for MLflow: means of tables, flat settings, the commit, counts of changes."""

import subprocess
from pathlib import Path

import pytest
from tracked_study import write_tables

from clflow.errors import DataError
from clflow.study.training import flatten
from clflow.tracking.means import load_means
from clflow.tracking.runs import Changes, repository_tags


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
