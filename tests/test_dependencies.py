"""Every file a stage script imports is a dependency of its stage in dvc.yaml."""

import ast
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from clflow.detectors.registry import METHODS, read_method_file
from clflow.synthesis.registry import GENERATORS

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
STAGES: dict[str, Any] = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]


def module_file(name: str) -> Path | None:
    path = SOURCE.joinpath(*name.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def imported_modules(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide dependencies"
            assert node.module is not None
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.split(".")[0] == "clflow"}


def closure(files: list[Path]) -> set[Path]:
    found: set[Path] = set()
    todo = list(files)
    while todo:
        file = todo.pop()
        if file in found:
            continue
        found.add(file)
        todo += [path for name in imported_modules(file) if (path := module_file(name))]
    return found


def lazily_loaded(stage: str, method: str | None) -> list[Path]:
    """Return the files that a stage's registries load by name."""
    targets: list[str] = []
    if stage == "synthesize":
        targets = [target.split(":")[0] for target in GENERATORS.values()]
    if method is not None:
        file = read_method_file(method)
        places = [file.settings, file.detector, *([file.base] if file.base else [])]
        targets = [place.split(":")[0] for place in places]
    return [file for target in targets if (file := module_file(target))]


CASES = [
    pytest.param(stage, method, id=f"{stage}-{method}" if method else stage)
    for stage, definition in STAGES.items()
    for method in (METHODS if "method" in definition.get("matrix", {}) else [None])
]


def dependencies(stage: str, method: str | None) -> set[Path]:
    names = [dep.replace("${item.method}", method or "") for dep in STAGES[stage]["deps"]]
    return {ROOT / name for name in names if name.startswith(("src/", "stages/"))}


@pytest.mark.parametrize(("stage", "method"), CASES)
def test_stage_depends_on_all_code_it_imports(stage: str, method: str | None) -> None:
    script = ROOT / "stages" / f"{stage}.py"
    allowed = dependencies(stage, method)
    needed = closure([script, *lazily_loaded(stage, method)])
    missing = sorted(
        str(file.relative_to(ROOT))
        for file in needed
        if not any(file == dep or dep in file.parents for dep in allowed)
        and file.read_text().strip()
    )
    assert not missing, "add to the deps of " + stage + ":\n      - " + "\n      - ".join(missing)


@pytest.mark.parametrize(("stage", "method"), CASES)
def test_stage_depends_on_no_code_it_does_not_import(stage: str, method: str | None) -> None:
    needed = closure([ROOT / "stages" / f"{stage}.py", *lazily_loaded(stage, method)])
    idle = [
        str(dep.relative_to(ROOT))
        for dep in dependencies(stage, method)
        if dep.suffix == ".py" and dep not in needed
    ]
    assert not idle


@pytest.mark.parametrize(("stage", "method"), [case for case in CASES if case.values[1]])
def test_stage_of_a_method_depends_on_its_own_file_alone(stage: str, method: str) -> None:
    """Another method's defaults must not make it run again."""
    files = {dep.name for dep in dependencies(stage, method) if dep.parent.name == "methods"}
    assert files == {f"{method}.yaml"}


def test_stage_script_and_parameters_have_one_name() -> None:
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py")}
    assert scripts == set(STAGES)
    for stage, definition in STAGES.items():
        assert any(name.split(".")[0] == stage for name in definition["params"])


def test_package_initialisers_are_empty() -> None:
    """A re-export would make every stage depend on the whole package."""
    assert not [path for path in SOURCE.rglob("__init__.py") if path.read_text().strip()]
