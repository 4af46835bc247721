"""What code each stage runs, as files that DVC compares: a stage reruns when its file changes.

A file lists every module that a stage imports, directly or not, with a digest of what it does:
comments, docstrings and formatting do not count. Stages of a method have a file for each method,
which adds what the method's own file names. So a change reruns what runs it, and nothing else.
"""

import ast
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import grimp
from ruamel.yaml import YAML

import clflow
from clflow.detectors.registry import FOLDER, METHODS
from clflow.files import atomic_folder, digest_of, module_digest, sha256_of

Fingerprint = dict[str, str]

# the stage that writes the files
OWN = "code"
# stages that run once for each method
OF_METHODS = ("train", "evaluate", "selection_bias", "cost")
# What may change nothing that a stage writes, so that no stage reruns for it: `params` checks all
# sections and hands out those that a stage asks for, whose models are imported by what uses them;
# `tracking` logs what has been written. The front door `clflow` is not used by stages at all.
NOT_FOLLOWED = ("clflow.pipeline.params", "clflow.tracking")

_PACKAGE = clflow.__name__
_SOURCE = Path(clflow.__file__).parent
_DIGITS = 16


def write_fingerprints(stages: Path, out: Path) -> int:
    """Write <stage>.json, or <stage>/<method>.json, for each script in `stages`; return how many.

    Raises:
        StorageError: the folder cannot be written; the old one is left as it was.
    """
    code = Code()
    scripts = sorted(path for path in stages.glob("*.py") if path.stem != OWN)
    count = 0
    with atomic_folder(out) as folder:
        for script in scripts:
            methods = METHODS if script.stem in OF_METHODS else (None,)
            for method in methods:
                name = script.stem if method is None else f"{script.stem}/{method}"
                path = folder / f"{name}.json"
                path.parent.mkdir(exist_ok=True)
                path.write_text(json.dumps(code.fingerprint(script, method), indent=1) + "\n")
                count += 1
    return count


class Code:
    """The modules of this package and what they import.

    Imports are found in the text, those inside of functions too; those for type checkers alone are
    not.
    """

    def __init__(self) -> None:
        self._graph = grimp.build_graph(
            _PACKAGE, exclude_type_checking_imports=True, cache_dir=None
        )
        for imported in self._graph.find_modules_directly_imported_by(_PACKAGE):
            self._graph.remove_import(importer=_PACKAGE, imported=imported)
        for module in self._graph.modules:
            if any(module == name or module.startswith(f"{name}.") for name in NOT_FOLLOWED):
                self._graph.remove_module(module)
        self._digests: dict[str, Fingerprint] = {}

    def fingerprint(self, script: Path, method: str | None = None) -> Fingerprint:
        """Return the digest of a script and of all that it runs, for a method what that runs too.

        Keys are modules, data files relative to the package, and the script's name.
        """
        found = {script.name: module_digest(script)[:_DIGITS]}
        roots = set(self._imported_by(script))
        if method is not None:
            own, places = _method_files(method)
            found |= own
            roots |= places
        for module in self.closure(roots):
            found |= self._digest(module)
        return dict(sorted(found.items()))

    def closure(self, roots: Iterable[str]) -> set[str]:
        """Return modules, the packages they are in, and whatever these import, directly or not."""
        found: set[str] = set()
        waiting = [module for module in roots if module in self._graph.modules]
        while waiting:
            module = waiting.pop()
            if module in found or module == _PACKAGE:
                continue
            found.add(module)
            waiting += self._graph.find_modules_directly_imported_by(module)
            waiting.append(module.rpartition(".")[0])
        return found

    def _imported_by(self, script: Path) -> Iterator[str]:
        for node in ast.walk(ast.parse(script.read_bytes())):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    def _digest(self, module: str) -> Fingerprint:
        """Return the digests of a module and of the data files beside it that it names."""
        if module not in self._digests:
            path = _path_of(module)
            self._digests[module] = {module: module_digest(path)[:_DIGITS]} | {
                file.relative_to(_SOURCE).as_posix(): sha256_of(file)[:_DIGITS]
                for file in named_data(path)
            }
        return self._digests[module]


def named_data(module: Path) -> set[Path]:
    """Return the data files in a module's folder whose names stand in it as text."""
    names = {
        node.value
        for node in ast.walk(ast.parse(module.read_bytes()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "/" not in node.value
    }
    beside = (path for path in module.parent.iterdir() if path.suffix != ".py" and path.is_file())
    return {path for path in beside if path.name in names}


def _path_of(module: str) -> Path:
    path = _SOURCE.parent.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _method_files(method: str) -> tuple[Fingerprint, set[str]]:
    """Return the digests of a method's file and of those it is based on, and the modules named."""
    path = FOLDER / f"{method}.yaml"
    content = YAML(typ="safe", pure=True).load(path)
    digests = {path.relative_to(_SOURCE).as_posix(): digest_of(content)[:_DIGITS]}
    values = [value for value in content.values() if isinstance(value, str)]
    places = {value.partition(":")[0] for value in values if value.startswith(f"{_PACKAGE}.")}
    base = content.get("base")
    if base in METHODS:
        inherited, more = _method_files(base)
        digests, places = digests | inherited, places | more
    return digests, places
