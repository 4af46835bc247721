"""The pipeline as a user runs it in a fresh clone: what runs, what does not, what comes out."""

import io
import re
import shutil
import sys
from collections.abc import Collection, Iterable
from pathlib import Path

import pytest
from clone import CATEGORIES, METHODS, SEEDS, Clone, Edit, Finished, clone_repository, settings
from ruamel.yaml import YAML

from clflow.metrics.registry import METRICS
from clflow.report.results import load_results
from clflow.study.cost import read_costs
from clflow.study.selection_bias import read_gaps

pytestmark = pytest.mark.slow

PARAMS = "params.yaml"
FITTED = ("train", "evaluate")


def stages(
    names: Collection[str],
    categories: Iterable[str] = CATEGORIES,
    methods: Iterable[str] = METHODS,
) -> set[str]:
    """Return the stages of some names, and what follows: `tabulate`, after scores `figures` too."""
    found = {"tabulate"}
    if "evaluate" in names:
        found |= {f"figures@{category}" for category in categories}
    for name in names:
        for category in categories:
            items = [f"{method}-{category}" for method in methods] if name in FITTED else [category]
            found |= {f"{name}@{item}" for item in items}
    return found


def comment(text: str) -> str:
    """Return a source file with another comment, which does nothing."""
    return f"{text}\n# changed\n"


def statement(text: str) -> str:
    """Return a source file with another statement."""
    return f"{text}\nANOTHER = 1\n"


def another_default(text: str) -> str:
    """Return a method's file with another learning rate."""
    return re.sub(r"learning_rate: [0-9.e-]+", "learning_rate: 0.002", text, count=1)


def folders(*categories: str) -> dict[str, str]:
    """Return the section `study.categories` of rendered categories."""
    return {category: f"data/raw/demo/images/{category}" for category in categories}


def contents(root: Path, names: list[str]) -> dict[str, bytes]:
    """Return the bytes of some files and of all files below some folders, by path."""
    paths = (path for name in names for path in [root / name, *(root / name).rglob("*")])
    return {str(path.relative_to(root)): path.read_bytes() for path in paths if path.is_file()}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return clone_repository(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="module")
def first(clone: Clone) -> Finished:
    return clone.dvc("repro")


def test_first_run_runs_every_stage(first: Finished) -> None:
    assert first.stages == {"code", "download"} | stages(("prepare", "synthesize", *FITTED))


def test_run_leaves_nothing_for_git_but_its_lock_file(clone: Clone, first: Finished) -> None:
    assert clone.untracked() == {"dvc.lock"}
    assert clone.modified() == set()


def test_lock_file_is_short(clone: Clone, first: Finished) -> None:
    """The demo has one category more; the tiny study's many settings are not the demo's."""
    lock = YAML(typ="safe").load(clone.root / "dvc.lock")
    for stage in lock["stages"].values():
        stage.pop("params", None)
    stream = io.StringIO()
    YAML().dump(lock, stream)
    lines = len(stream.getvalue().splitlines())
    assert lines * (len(CATEGORIES) + 1) / len(CATEGORIES) < 800


def test_table_has_every_metric_of_every_run(clone: Clone, first: Finished) -> None:
    table = load_results(clone.root / "tables" / "results.csv")
    keys = table[["category", "method", "seed", "metric"]].itertuples(index=False, name=None)
    assert sorted(keys) == sorted(
        (category, method, seed, metric)
        for category in CATEGORIES
        for method in METHODS
        for seed in SEEDS
        for metric in METRICS
    )
    defined = table[table.metric.isin(["image_auroc", "pixel_auroc", "aupro_30"])].value
    assert defined.between(0, 1).all()


def test_second_run_runs_nothing(clone: Clone, first: Finished) -> None:
    again = clone.dvc("repro")
    assert not again.stages
    assert again.unchanged == first.stages


@pytest.mark.parametrize(
    ("name", "edit", "expected"),
    [
        pytest.param(
            PARAMS,
            settings({"train.clflow.training.learning_rate": 0.002}),
            stages(FITTED, methods=["clflow"]),
            id="setting-of-a-method",
        ),
        pytest.param(
            PARAMS,
            settings({"study.categories": folders(*CATEGORIES, "bolt")}),
            stages(("prepare", "synthesize", *FITTED), categories=["bolt"]),
            id="category-added",
        ),
        pytest.param(
            PARAMS,
            settings({"study.categories": folders(*CATEGORIES[:1])}),
            stages(()),
            id="category-dropped",
        ),
        pytest.param(
            PARAMS,
            settings({"study.methods": [*METHODS, "clflow_paper"], "train.clflow_paper": {}}),
            stages(FITTED, methods=["clflow_paper"]),
            id="method-added",
        ),
        pytest.param(
            PARAMS, settings({"study.seeds": [*SEEDS, 9]}), stages(FITTED), id="seed-added"
        ),
        pytest.param(
            PARAMS,
            settings({"synthesize.seed": 1}),
            stages(("synthesize", *FITTED)),
            id="other-anomalies",
        ),
        pytest.param(
            PARAMS, settings({"evaluate.worst": 1}), stages(["evaluate"]), id="other-pictures"
        ),
        pytest.param(PARAMS, settings({"tabulate.digits": 2}), stages(()), id="other-tables"),
        pytest.param(
            PARAMS,
            settings({"figures.formats": ["png"]}),
            stages(["figures"]) - {"tabulate"},
            id="other-figures",
        ),
    ],
)
def test_change_reruns_what_depends_on_it(
    clone: Clone, first: Finished, name: str, edit: Edit, expected: set[str]
) -> None:
    with clone.edited(name, edit):
        assert clone.plan() == expected


@pytest.mark.parametrize(
    ("name", "edit", "expected"),
    [
        pytest.param("src/clflow/metrics/image.py", comment, set(), id="comment"),
        pytest.param("src/clflow/detectors/nsa/network.py", statement, set(), id="other-method"),
        pytest.param("src/clflow/tracking/live.py", statement, set(), id="tracking"),
        pytest.param(
            "src/clflow/metrics/image.py", statement, stages(["evaluate"]), id="code-of-a-metric"
        ),
        pytest.param(
            "src/clflow/detectors/methods/clflow.yaml",
            another_default,
            stages(FITTED, methods=["clflow"]),
            id="defaults-of-a-method",
        ),
        pytest.param("src/clflow/report/latex.py", statement, stages(()), id="code-of-a-table"),
    ],
)
def test_code_reruns_what_runs_it(
    clone: Clone, first: Finished, name: str, edit: Edit, expected: set[str]
) -> None:
    with clone.edited(name, edit):
        clone.dvc("repro", "code")
        planned = clone.plan()
    clone.dvc("repro", "code")
    assert planned == expected
    assert clone.plan() == set()


def test_repeated_run_gives_the_same_bytes(clone: Clone, first: Finished) -> None:
    place = "demo/clflow/washer"
    folders = [f"models/{place}", "scores/demo/washer/clflow", f"overlays/{place}"]
    outputs = [*folders, f"results/runs/{place}.json", "dvc.lock"]
    before = contents(clone.root, outputs)
    for folder in (".clflow", *folders):
        shutil.rmtree(clone.root / folder)
    (clone.root / f"results/runs/{place}.json").unlink()
    targets = [f"{stage}@clflow-washer" for stage in FITTED]
    done = clone.dvc("repro", "--force", "--single-item", "--no-run-cache", *targets)
    assert done.stages == set(targets)
    after = contents(clone.root, outputs)
    assert after.keys() == before.keys()
    assert [name for name in after if after[name] != before[name]] == []


def test_diagnostics_run_alone_when_they_are_switched_on(clone: Clone, first: Finished) -> None:
    on = {
        "selection_bias.methods": ["clflow"],
        "cost.methods": ["clflow"],
        "cost.batch_sizes": [1],
        "cost.repeats": 2,
        "cost.warmup": 0,
    }
    with clone.edited(PARAMS, settings(on)):
        done, again = clone.dvc("repro"), clone.dvc("repro")
        observed = read_gaps(clone.root / "results/selection_bias/demo", CATEGORIES, METHODS)
        measured = read_costs(clone.root / "results/cost/demo", METHODS)
    own = {f"selection_bias@clflow-{category}" for category in CATEGORIES} | {"cost@clflow"}
    assert done.stages - {"tabulate"} == own
    assert not again.stages
    assert set(observed.category) == set(CATEGORIES)
    assert measured.method.tolist() == ["clflow"]
    off = clone.dvc("repro")
    assert not own & (off.stages | off.unchanged)
    assert not off.stages - {"tabulate"}
    for name in ("selection_bias", "cost"):
        shutil.rmtree(clone.root / "results" / name)


def test_slip_in_params_ends_any_stage_at_once(clone: Clone) -> None:
    def slip(text: str) -> str:
        return text.replace("log_every:", "log_evry:", 1)

    with clone.edited(PARAMS, slip):
        done = clone.run(sys.executable, "-P", "stages/tabulate.py")
    assert done.code == 1
    assert len(re.findall("^error: ", done.errors, re.MULTILINE)) == 1
    assert done.errors.startswith("error: params.yaml has 1 problem:")
    assert ".training.log_evry: unknown key" in done.errors
    assert "did you mean 'log_every'?" in done.errors
    assert "Traceback" not in done.errors
