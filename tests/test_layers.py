"""The rooms of the package: imports go down, never in a circle, and stages use no front door."""

import ast
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
# from the top down: a room may import from those below it
LAYERS = (
    ("cli",),
    ("tracking",),
    ("pipeline",),
    ("report",),
    ("export",),
    ("inspector", "runtime"),
    ("study",),
    ("decision", "detectors"),
    ("alignment",),
    ("features", "flows", "synthesis", "training"),
    ("canvas",),
    ("data", "statistics"),
    ("metrics",),
    ("device", "files", "progress", "settings", "version"),
    ("errors",),
)


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("clflow", exclude_type_checking_imports=True, cache_dir=None)


def room(module: str) -> str:
    return module.split(".")[1]


def test_every_room_has_its_place(graph: grimp.ImportGraph) -> None:
    places = {name for layer in LAYERS for name in layer}
    assert {room(module) for module in graph.modules if "." in module} - places == {"__main__"}


def test_imports_go_down(graph: grimp.ImportGraph) -> None:
    depth = {name: place for place, layer in enumerate(LAYERS) for name in layer}
    rising = [
        (importer, imported)
        for importer in graph.modules
        if importer not in ("clflow", "clflow.__main__")
        for imported in graph.find_modules_directly_imported_by(importer)
        if imported != "clflow" and room(importer) != room(imported)
        if depth[room(importer)] >= depth[room(imported)]
    ]
    assert rising == []


def test_no_imports_go_in_a_circle(graph: grimp.ImportGraph) -> None:
    circles = [module for module in graph.modules if module in graph.find_upstream_modules(module)]
    assert circles == []


def test_nothing_within_uses_the_front_door() -> None:
    """What `import clflow` offers is imported lazily, so fingerprints of code do not follow it."""
    files = [*(ROOT / "src/clflow").rglob("*.py"), *(ROOT / "stages").glob("*.py")]
    used = [
        (path.name, alias.name)
        for path in files
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.ImportFrom) and node.module == "clflow" and not node.level
        for alias in node.names
        if not (ROOT / "src/clflow" / alias.name).exists()
        and not (ROOT / "src/clflow" / f"{alias.name}.py").exists()
    ]
    assert used == []


def test_only_the_method_registry_imports_by_name() -> None:
    found = {
        path.relative_to(ROOT / "src/clflow").as_posix()
        for path in (ROOT / "src/clflow").rglob("*.py")
        if "import_module" in path.read_text() or "__import__" in path.read_text()
    }
    # others name modules of other packages, which the graph of this one does not hold
    others = {"detectors/anomalib/training.py", "features/torchvision_shim.py"}
    assert found - others == {"detectors/registry.py"}
