import errno
import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clflow.errors import StorageError
from clflow.files import (
    NAME_BYTES,
    atomic_folder,
    atomic_path,
    digest_of,
    module_digest,
    remove_folder,
    sha256_of,
    shared_folder,
    short_name,
    source_digest,
    write_bytes,
    write_json,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def full_disk() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=4))
def test_digest_ignores_the_order_of_keys_and_nothing_else(value: dict[str, object]) -> None:
    assert digest_of(value) == digest_of(dict(reversed(value.items())))
    assert digest_of(value) != digest_of(value | {"another": 1})


MODULE = """
class Box:
    side = 2

    def area(self) -> int:
        return self.side * self.side


async def wait():
    pass
"""
SAME = '''"""What the module is."""

class Box:
    """A square."""
    side = 2  # pixels
    def area(self) -> int:
        """Return the area."""
        return (self.side
                * self.side)
async def wait():
    """Wait."""
    pass
'''


@pytest.mark.parametrize(
    ("text", "same"),
    [
        pytest.param(SAME, True, id="comments, docstrings and formatting"),
        pytest.param(MODULE.replace("2", "3"), False, id="number"),
        pytest.param(MODULE.replace("area", "size"), False, id="name"),
        pytest.param(MODULE.replace("-> int", "-> float"), False, id="annotation"),
        pytest.param(MODULE.replace("pass", "'text'; 'more'"), False, id="text in the middle"),
    ],
)
def test_a_module_digest_is_that_of_what_runs(tmp_path: Path, text: str, same: bool) -> None:
    for name, content in (("one.py", MODULE), ("other.py", text)):
        write_text(tmp_path / name, content)
    one, other = (module_digest(tmp_path / name) for name in ("one.py", "other.py"))
    assert (one == other) == same


def test_a_module_of_docstrings_alone_has_the_digest_of_an_empty_one(tmp_path: Path) -> None:
    write_text(tmp_path / "empty.py", "")
    write_text(tmp_path / "documented.py", '"""Nothing yet."""\n')
    assert module_digest(tmp_path / "empty.py") == module_digest(tmp_path / "documented.py")


def test_source_digests_are_of_what_is_named() -> None:
    assert source_digest("flows") == source_digest(
        *(f"flows/{name}.py" for name in ("flow", "coupling", "pointwise", "settings", "__init__"))
    )
    assert source_digest("flows") != source_digest("flows", "files.py")


@pytest.mark.parametrize("name", ["no_such_package", "no_such_module.py"])
def test_source_digests_of_what_does_not_exist_are_refused(name: str) -> None:
    with pytest.raises(FileNotFoundError, match=name):
        source_digest("flows", name)


def test_whole_file_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "new/folder/file.txt"
    write_text(path, "one")
    write_text(path, "zwölf\n")
    assert path.read_bytes() == "zwölf\n".encode()
    assert names(path.parent) == ["file.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), full_disk()])
def test_failed_write_keeps_the_old_file_and_nothing_else(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")
    expected = StorageError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected), atomic_path(path) as partial:  # noqa: PT012
        partial.write_bytes(b"half")
        raise error
    assert names(tmp_path) == ["file"]
    assert path.read_bytes() == b"old"


def test_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(_: int) -> None:
        raise full_disk()

    monkeypatch.setattr("clflow.files.os.fsync", no_space)
    with pytest.raises(StorageError, match=r"cannot write .*file: the disk is full; free space"):
        write_bytes(tmp_path / "file", b"content")
    assert names(tmp_path) == []


def test_other_reasons_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"File exists|Not a directory"):
        write_bytes(tmp_path / "file/below", b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="Is a directory"):
        write_bytes(tmp_path / "folder", b"")
    assert names(tmp_path) == ["file", "folder"]


def test_json_is_sorted_and_refuses_what_json_lacks(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": None, "a": [1.5]})
    assert path.read_text() == '{\n "a": [\n  1.5\n ],\n "b": null\n}\n'
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": [1.5], "b": None}


def test_folder_is_replaced_whole(tmp_path: Path) -> None:
    folder = tmp_path / "new/folder"
    for name in ("first", "second"):
        with atomic_folder(folder) as partial:
            (partial / name).touch()
            assert partial.parent == folder.parent  # the same disk, so that it can be renamed
    assert names(folder) == ["second"]
    assert names(folder.parent) == ["folder"]


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), full_disk()])
def test_failed_folder_keeps_the_old_one_and_nothing_else(
    tmp_path: Path, error: BaseException
) -> None:
    folder = tmp_path / "folder"
    with atomic_folder(folder) as partial:
        (partial / "old").touch()
    expected = StorageError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected), atomic_folder(folder) as partial:  # noqa: PT012
        (partial / "half").touch()
        raise error
    assert (names(tmp_path), names(folder)) == (["folder"], ["old"])


def test_what_a_killed_run_left_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / ".folder.partial/sub").mkdir(parents=True)
    with atomic_folder(tmp_path / "folder") as partial:
        assert names(partial) == []
    assert names(tmp_path) == ["folder"]


def test_a_folder_is_removed_with_its_content_or_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    remove_folder(tmp_path / "a")
    remove_folder(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        remove_folder(tmp_path / "file")


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=400), st.integers(30, 255))
def test_short_names_fit_and_differ_as_their_originals(name: str, limit: int) -> None:
    short = short_name(name, ".png", limit)
    assert len(short.encode()) <= limit
    assert short.endswith(".png")
    assert (short == f"{name}.png") == (len(name.encode()) + 4 <= limit)
    assert short_name(f"{name}a", ".png", limit) != short_name(f"{name}b", ".png", limit)


@pytest.mark.parametrize("letter", ["a", "é", "図"])
def test_names_as_long_as_a_system_allows_are_written(tmp_path: Path, letter: str) -> None:
    name = letter * (NAME_BYTES // len(letter.encode()))
    write_text(tmp_path / name, "text")
    with atomic_folder(tmp_path / f"{name[:-1]}b") as partial:
        (partial / "file").touch()
    with shared_folder(tmp_path / f"{name[:-1]}c") as partial:
        (partial / "file").touch()
    assert len(names(tmp_path)) == 3
