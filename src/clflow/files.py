"""Files: digests of content and code, whole or no writes, a stage's JSON read back."""

import ast
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from clflow.errors import DataError, StorageError

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

# of a file name, on all systems that this package runs on
NAME_BYTES = 255
# leaves room for what makes a temporary name unique
_PARTIAL_BYTES = 200
_DIGITS = 12


def sha256_of(path: Path) -> str:
    """Return the SHA-256 hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(value: Any) -> str:
    """Return the SHA-256 hex digest of a JSON value, independent of key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def module_digest(path: Path) -> str:
    """Return the SHA-256 hex digest of a module: comments, docstrings, formatting do not count."""
    tree = ast.parse(path.read_bytes())
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def source_digest(*names: str) -> str:
    """Return the SHA-256 hex digest of modules and packages of this package, such as "flows".

    Comments, docstrings and formatting do not count.

    Raises:
        FileNotFoundError: there is no module or package of that name.
    """
    package = Path(__file__).parent
    files: list[Path] = []
    for path in (package / name for name in names):
        found = [path] if path.suffix else list(path.rglob("*.py"))
        if not found:
            raise FileNotFoundError(f"no package {path}")
        files += found
    return digest_of(
        sorted([file.relative_to(package).as_posix(), module_digest(file)] for file in files)
    )


def _storage_error(path: Path, error: OSError) -> StorageError:
    reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
    return StorageError(f"cannot write {path}: {reason}; free space or check rights, then rerun")


def short_name(name: str, suffix: str = "", limit: int = NAME_BYTES) -> str:
    """Return a file name of at most `limit` bytes: a longer one ends in a digest of the whole.

    >>> short_name("bolt", ".png"), len(short_name("b" * 300, ".png"))
    ('bolt.png', 255)
    """
    if len((name + suffix).encode()) <= limit:
        return name + suffix
    ending = f"-{hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]}{suffix}"
    kept = name.encode()[: limit - len(ending.encode())].decode(errors="ignore")
    return kept + ending


def _partial_prefix(path: Path) -> str:
    return f".{short_name(path.name, limit=_PARTIAL_BYTES)}."


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` when the block ends without an error.

    Raises:
        StorageError: the file cannot be written; nothing is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=_partial_prefix(path), suffix=".partial"
        )
        os.close(handle)
    except OSError as error:
        raise _storage_error(path, error) from error
    partial = Path(name)
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.chmod(0o644)
        partial.replace(path)
    except OSError as error:
        raise _storage_error(path, error) from error
    finally:
        partial.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file or none."""
    with atomic_path(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 file or none."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file with sorted keys; NaN is refused, undefined numbers are null."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def remove_folder(path: Path) -> None:
    """Remove a folder with all that is in it, if there is one.

    Raises:
        StorageError: it cannot be removed.
    """
    try:
        if path.exists():
            shutil.rmtree(path)
    except OSError as error:
        raise _storage_error(path, error) from error


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces `path` when the block ends without an error.

    Raises:
        StorageError: the folder cannot be written; nothing is left behind.
    """
    partial = path.with_name(f"{_partial_prefix(path)}partial")
    try:
        remove_folder(partial)
        partial.mkdir(parents=True)
        yield partial
        remove_folder(path)
        partial.rename(path)
    except OSError as error:
        raise _storage_error(path, error) from error
    finally:
        # the error that led here says more than one of cleaning up
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def shared_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `path`, unless another process made that meanwhile.

    For what is found by its content: whoever is first, it is the same.

    Raises:
        StorageError: the folder cannot be written; nothing is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        name = tempfile.mkdtemp(dir=path.parent, prefix=_partial_prefix(path), suffix=".partial")
    except OSError as error:
        raise _storage_error(path, error) from error
    partial = Path(name)
    try:
        yield partial
        if not path.is_dir():
            partial.chmod(0o755)
            partial.rename(path)
    except OSError as error:
        # between the question and the answer another may have been faster
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise _storage_error(path, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


Model = TypeVar("Model", bound="BaseModel")


def read_report(path: Path, model: type[Model], stage: str = "") -> Model:
    """Return the content of a JSON file that a stage wrote.

    Args:
        stage: the one to run again, if it is known.

    Raises:
        DataError: the file is missing or malformed: which, where, what is wrong, what to run.
    """
    # the runtime of an exported detector imports this module and has no pydantic
    from pydantic import ValidationError

    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        message = f"{path} is missing; run `dvc repro` or `dvc checkout` to restore it"
        raise DataError(message) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except ValidationError as error:
        raise malformed(path, error, stage) from error


def malformed(path: Path, error: "ValidationError", stage: str = "") -> DataError:
    """Return the error of a file that does not hold what its stage writes."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or "the file"
    remedy = f"dvc repro --force {stage}" if stage else "dvc repro"
    return DataError(f"{path} is malformed: {place}: {first['msg']}; run `{remedy}`")
