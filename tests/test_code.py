"""Fingerprints of code: what a change reruns, in a copy of the package."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from clflow.detectors.registry import METHODS
from clflow.pipeline.code import OF_METHODS, Code, named_data

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src/clflow"
Fingerprints = dict[str, dict[str, str]]
Edit = Callable[[Path], None]


def fingerprints(root: Path) -> Fingerprints:
    """Return what stage `code` writes for a copy of the package, by stage and method."""
    command = [sys.executable, "-P", "stages/code.py"]
    environment = {"PYTHONPATH": str(root / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True)
    folder = root / "data/code"
    return {
        path.relative_to(folder).with_suffix("").as_posix(): json.loads(path.read_text())
        for path in folder.rglob("*.json")
    }


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copy")
    for name in ("src", "stages"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    return root


@pytest.fixture(scope="module")
def before(copy: Path) -> Fingerprints:
    return fingerprints(copy)


@pytest.fixture
def changed(copy: Path, before: Fingerprints) -> Callable[[str, Edit], set[str]]:
    """Return what tells the stages whose code an edit of a file changes."""

    def change(name: str, edit: Edit) -> set[str]:
        path = copy / name
        content = path.read_bytes() if path.exists() else None
        edit(path)
        try:
            after = fingerprints(copy)
        finally:
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content)
        assert before.keys() <= after.keys()
        return {stage for stage in after if after[stage] != before.get(stage)}

    return change


def append(text: str) -> Edit:
    def edit(path: Path) -> None:
        path.write_text(f"{path.read_text()}\n{text}\n")

    return edit


def replace(old: str, new: str) -> Edit:
    def edit(path: Path) -> None:
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))

    return edit


def stages_of(*names: str, methods: tuple[str, ...] = METHODS) -> set[str]:
    """Return stages, those of methods for each of some methods."""
    each = {f"{name}/{method}" for name in names if name in OF_METHODS for method in methods}
    return each | {name for name in names if name not in OF_METHODS}


def test_every_stage_and_method_has_a_file(before: Fingerprints) -> None:
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"code"}
    assert before.keys() == stages_of(*scripts)


def test_fingerprints_are_repeated(copy: Path, before: Fingerprints) -> None:
    assert fingerprints(copy) == before


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("src/clflow/files.py", append("# a comment")),
        ("src/clflow/files.py", replace('"""', '"""Another docstring. ')),
        ("src/clflow/detectors/nsa/network.py", replace('    """', '    """Said better: ')),
        ("src/clflow/errors.py", replace("\n\n\n", "\n\n\n\n\n")),
        ("src/clflow/tracking/live.py", append("ANOTHER = 1")),
        ("src/clflow/detectors/methods/nsa.yaml", append("# a comment")),
        ("stages/train.py", append("# a comment")),
    ],
)
def test_words_change_no_code(
    changed: Callable[[str, Edit], set[str]], name: str, edit: Edit
) -> None:
    assert changed(name, edit) == set()


def test_code_of_one_family_concerns_its_methods_alone(
    changed: Callable[[str, Edit], set[str]],
) -> None:
    family = ("nsa", "fpi", "pii", "cutpaste")
    found = changed("src/clflow/detectors/nsa/network.py", append("ANOTHER = 1"))
    assert found == stages_of(*OF_METHODS, methods=family)


def test_code_of_metrics_concerns_no_training(changed: Callable[[str, Edit], set[str]]) -> None:
    found = changed("src/clflow/metrics/image.py", append("ANOTHER = 1"))
    measuring, following = stages_of("evaluate", "selection_bias"), {"figures", "tabulate"}
    assert measuring <= found <= measuring | following


def test_code_of_a_stage_script_is_its_own(changed: Callable[[str, Edit], set[str]]) -> None:
    assert changed("stages/prepare.py", append("ANOTHER = 1")) == {"prepare"}


def test_code_of_memory_concerns_the_cost(before: Fingerprints) -> None:
    assert all("clflow.device" in before[stage] for stage in stages_of("cost"))


def test_settings_of_synthesis_do_not_stop_prepare(before: Fingerprints) -> None:
    assert not [name for name in before["prepare"] if name.startswith("clflow.synthesis")]


def test_defaults_of_a_method_are_its_own(changed: Callable[[str, Edit], set[str]]) -> None:
    found = changed("src/clflow/detectors/methods/clflow.yaml", replace("notes:", "notes: x"))
    assert found >= stages_of(*OF_METHODS, methods=("clflow",))
    assert not {stage for stage in found if stage.endswith(("/nsa", "/padim", "/fyd"))}


def test_another_method_changes_none_that_exists(
    changed: Callable[[str, Edit], set[str]], before: Fingerprints
) -> None:
    def add(path: Path) -> None:
        shutil.copyfile(path.with_name("padim.yaml"), path)

    found = changed("src/clflow/detectors/methods/another.yaml", add)
    assert found == stages_of(*OF_METHODS, methods=("another",))
    assert not found & before.keys()


def test_table_data_concern_what_reads_them(changed: Callable[[str, Edit], set[str]]) -> None:
    found = changed("src/clflow/data/datasets.yaml", append("# data files count as they are"))
    assert found == {"download"}


def test_every_data_file_is_named_by_a_module_beside_it() -> None:
    data = {
        path
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc", ".typed")
    }
    named = {file for module in PACKAGE.rglob("*.py") for file in named_data(module)}
    assert data - named == set((PACKAGE / "detectors/methods").glob("*.yaml"))


@pytest.mark.parametrize("stage", ["synthesize", "train"])
def test_nothing_of_training_looks_at_real_defects(stage: str, before: Fingerprints) -> None:
    for name in stages_of(stage):
        assert "clflow.synthesis.preview.real" not in before[name]


def test_lazy_imports_are_followed_and_those_for_types_are_not() -> None:
    code = Code()
    assert "clflow.detectors.anomalib.coreset" in code.closure(["clflow.detectors.anomalib.models"])
    assert "clflow.synthesis.settings" not in code.closure(["clflow.synthesis.patch"])
