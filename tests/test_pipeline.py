"""The pipeline as a user runs it in a fresh clone: what runs, what does not, what comes out."""

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from clone import METHODS, SEEDS, Clone, Finished, clone_repository

from clflow.tables.metrics import METRICS
from clflow.tables.results import load_results

pytestmark = pytest.mark.slow

FIRST, ADDED = "weave", "washer"
REPEATED = ("clflow", ADDED)


def stages_of(category: str) -> set[str]:
    """Return all stages that only concern one category."""
    matrix = {
        f"{stage}@{method}-{category}" for stage in ("train", "evaluate") for method in METHODS
    }
    return {f"prepare@{category}", f"synthesize@{category}"} | matrix


def contents(root: Path, names: list[str]) -> dict[str, bytes]:
    """Return the bytes of all files below some folders, by path."""
    paths = (path for name in names for path in [root / name, *(root / name).rglob("*")])
    return {str(path.relative_to(root)): path.read_bytes() for path in paths if path.is_file()}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return clone_repository(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="module")
def first(clone: Clone) -> Finished:
    return clone.dvc("repro")


@pytest.fixture(scope="module")
def again(clone: Clone, first: Finished) -> Finished:
    return clone.dvc("repro")


@pytest.fixture(scope="module")
def with_category(clone: Clone, again: Finished) -> Finished:
    clone.edit_params(lambda params: params["study"]["categories"].append(ADDED))
    return clone.dvc("repro")


@pytest.fixture(scope="module")
def with_rate(clone: Clone, with_category: Finished) -> Finished:
    def double(params: Any) -> None:
        params["train"]["clflow"]["training"]["learning_rate"] *= 2

    clone.edit_params(double)
    return clone.dvc("repro")


def test_first_run_runs_every_stage(first: Finished) -> None:
    assert first.stages == {"download", "tabulate"} | stages_of(FIRST)


def test_run_leaves_only_numbers_for_git(clone: Clone, first: Finished) -> None:
    kept = {name for name in clone.untracked() if not re.fullmatch(r"results/runs/.+\.json", name)}
    assert kept == {"dvc.lock", "tables/results.csv", "tables/summary.md", "tables/summary.tex"}


def test_second_run_runs_nothing(first: Finished, again: Finished) -> None:
    assert not again.stages
    assert again.unchanged == first.stages


def test_added_category_runs_its_own_stages_only(first: Finished, with_category: Finished) -> None:
    assert with_category.stages == {"tabulate"} | stages_of(ADDED)
    assert with_category.unchanged == first.stages - {"tabulate"}


def test_table_has_every_metric_of_every_run(clone: Clone, with_category: Finished) -> None:
    table = load_results(clone.root / "tables/results.csv")
    keys = ["category", "method", "seed", "metric"]
    assert set(table.set_index(keys).index) == {
        (category, method, seed, metric)
        for category in (FIRST, ADDED)
        for method in METHODS
        for seed in SEEDS
        for metric in METRICS
    }
    assert not table.duplicated(keys).any()
    defined = table[table.metric.isin(["image_auroc", "pixel_auroc", "aupro_30"])].value
    assert defined.between(0, 1).all()


def test_changed_setting_of_a_method_reruns_that_method_only(
    with_category: Finished, with_rate: Finished
) -> None:
    expected = {
        f"{stage}@clflow-{category}"
        for stage in ("train", "evaluate")
        for category in (FIRST, ADDED)
    }
    assert with_rate.stages == {"tabulate"} | expected


def test_repeated_run_gives_the_same_bytes(clone: Clone, with_rate: Finished) -> None:
    method, category = REPEATED
    place = f"demo/{method}/{category}"
    outputs = [f"models/{place}", f"scores/{place}", f"overlays/{place}"]
    outputs += [f"results/runs/{place}.json", "dvc.lock"]
    before = contents(clone.root, outputs)
    for folder in (".clflow", *outputs[:3]):
        shutil.rmtree(clone.root / folder)
    (clone.root / outputs[3]).unlink()
    targets = [f"{stage}@{method}-{category}" for stage in ("train", "evaluate")]
    done = clone.dvc("repro", "--force", "--single-item", "--no-run-cache", *targets)
    assert done.stages == set(targets)
    after = contents(clone.root, outputs)
    assert after.keys() == before.keys()
    assert [name for name in after if after[name] != before[name]] == []


def test_slip_in_params_ends_any_stage_at_once(clone: Clone, first: Finished) -> None:
    path = clone.root / "params.yaml"
    right = path.read_text(encoding="utf-8")
    path.write_text(right.replace("  learning_rate:", "  learning_rat:", 1), encoding="utf-8")
    done = clone.run(sys.executable, "-P", "stages/tabulate.py")
    path.write_text(right, encoding="utf-8")
    assert done.code == 1
    assert re.findall(r"^error: ", done.errors, re.MULTILINE) == ["error: "]
    assert done.errors.startswith("error: params.yaml has 1 problem:")
    assert "train.fastflow.training.learning_rat: unknown key" in done.errors
    assert "did you mean 'learning_rate'?" in done.errors
    assert "Traceback" not in done.errors
