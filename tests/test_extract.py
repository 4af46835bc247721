import errno
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clflow.data.extract import extract_archive
from clflow.errors import DownloadError, StorageError

NOISE = np.random.default_rng(0).bytes(5000)
FILES = {"bottle/train/good/000.png": b"one", "bottle/test/bad/000.png": NOISE, "readme.txt": b""}


def _tar(path: Path, *members: tarfile.TarInfo, mode: str = "w", top: str = "") -> Path:
    with tarfile.open(path, mode) as tar:
        for name, content in FILES.items():
            member = tarfile.TarInfo(top + name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in members:
            tar.addfile(member)
    return path


def _zip(path: Path, *members: zipfile.ZipInfo, mode: int = 0, top: str = "") -> Path:
    with zipfile.ZipFile(path, "w", compression=mode) as zipped:
        zipped.mkdir("bottle")
        for name, content in FILES.items():
            zipped.writestr(top + name, content)
        for member in members:
            zipped.writestr(member, b"target")
    return path


def _tar_member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = link
    return member


def _zip_member(name: str, kind: int = stat.S_IFREG) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.external_attr = (kind | 0o644) << 16
    return member


def _content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


WRITERS = [
    *(
        pytest.param(lambda path, m=m, **k: _tar(path, mode=f"w{m}", **k), id=f"tar{m}")
        for m in ("", ":gz", ":bz2", ":xz")
    ),
    pytest.param(_zip, id="zip"),
    pytest.param(lambda path, **k: _zip(path, mode=zipfile.ZIP_DEFLATED, **k), id="deflated zip"),
]


@pytest.mark.parametrize("write", WRITERS)
def test_round_trip(tmp_path: Path, write: Callable[..., Path]) -> None:
    extract_archive(write(tmp_path / "archive"), tmp_path / "data")
    assert _content(tmp_path / "data") == FILES
    assert _names(tmp_path) == ["archive", "data"]


@pytest.mark.parametrize("write", WRITERS)
def test_top_folder_becomes_the_target(tmp_path: Path, write: Callable[..., Path]) -> None:
    archive = write(tmp_path / "archive", top="BTech/")
    extract_archive(archive, tmp_path / "data", top_folder="BTech")
    assert _content(tmp_path / "data") == FILES


@pytest.mark.parametrize("write", WRITERS)
def test_files_beside_the_top_folder_are_left_out(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    extract_archive(write(tmp_path / "archive"), tmp_path / "data", top_folder="bottle")
    assert sorted(_content(tmp_path / "data")) == ["test/bad/000.png", "train/good/000.png"]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("top", ["BTech", "readme.txt", "bott"], ids=["absent", "file", "prefix"])
def test_missing_top_folder(tmp_path: Path, write: Callable[..., Path], top: str) -> None:
    with pytest.raises(DownloadError, match=f"holds no folder '{top}'"):
        extract_archive(write(tmp_path / "archive"), tmp_path / "data", top_folder=top)
    assert _names(tmp_path) == ["archive"]


def test_leading_dot_folder(tmp_path: Path) -> None:
    dot = _tar_member("./", tarfile.DIRTYPE)
    extract_archive(_tar(tmp_path / "archive", dot, top="./"), tmp_path / "data")
    assert _content(tmp_path / "data") == FILES


OUTSIDE = ["../evil", "a/../../evil", "/evil", "..\\evil", "C:\\evil", "C:evil", "\\\\host\\evil"]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_path_that_leads_outside(tmp_path: Path, kind: str, name: str) -> None:
    archive = tmp_path / "archive"
    _tar(archive, _tar_member(name)) if kind == "tar" else _zip(archive, _zip_member(name))
    with pytest.raises(DownloadError, match="leads outside") as caught:
        extract_archive(archive, tmp_path / "deep" / "data")
    assert repr(name) in str(caught.value)
    assert _names(tmp_path) == ["archive", "deep"]
    assert _names(tmp_path / "deep") == []


@pytest.mark.parametrize(
    "member",
    [
        pytest.param(_tar_member("x", tarfile.SYMTYPE, "/outside"), id="symlink outside"),
        pytest.param(_tar_member("x", tarfile.SYMTYPE, "readme.txt"), id="symlink inside"),
        pytest.param(_tar_member("x", tarfile.LNKTYPE, "readme.txt"), id="hard link"),
        pytest.param(_tar_member("x", tarfile.FIFOTYPE), id="fifo"),
        pytest.param(_tar_member("x", tarfile.CHRTYPE), id="character device"),
        pytest.param(_tar_member("x", tarfile.BLKTYPE), id="block device"),
    ],
)
def test_tar_link_or_device(tmp_path: Path, member: tarfile.TarInfo) -> None:
    archive = _tar(tmp_path / "archive", member)
    with pytest.raises(DownloadError, match="'x', a link or device"):
        extract_archive(archive, tmp_path / "data")
    assert _names(tmp_path) == ["archive"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR], ids=["symlink", "device"])
def test_zip_link_or_device(tmp_path: Path, kind: int) -> None:
    archive = _zip(tmp_path / "archive", _zip_member("x", kind))
    with pytest.raises(DownloadError, match="'x', a link or device"):
        extract_archive(archive, tmp_path / "data")
    assert _names(tmp_path) == ["archive"]


def test_bad_member_outside_of_the_top_folder_is_refused_too(tmp_path: Path) -> None:
    archive = _tar(tmp_path / "archive", _tar_member("/evil"))
    with pytest.raises(DownloadError, match="'/evil'"):
        extract_archive(archive, tmp_path / "data", top_folder="bottle")


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.3, 0.6])
def test_truncated_archive(tmp_path: Path, write: Callable[..., Path], kept: float) -> None:
    archive = write(tmp_path / "archive")
    archive.write_bytes(archive.read_bytes()[: int(kept * archive.stat().st_size)])
    with pytest.raises(DownloadError, match="damaged"):
        extract_archive(archive, tmp_path / "data")
    assert _names(tmp_path) == ["archive"]


@pytest.mark.parametrize("write", WRITERS)
def test_flipped_bytes_never_pass_as_whole(tmp_path: Path, write: Callable[..., Path]) -> None:
    archive = write(tmp_path / "archive", top="top/")
    content = bytearray(archive.read_bytes())
    headers = content.find(b"top/bottle/test")
    spot = headers if headers >= 0 else len(content) // 2
    content[spot] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(DownloadError):
        extract_archive(archive, tmp_path / "data")
    assert _names(tmp_path) == ["archive"]


@pytest.mark.parametrize("cut", [512, 1024], ids=["after the first header", "after its content"])
def test_tar_cut_between_blocks(tmp_path: Path, cut: int) -> None:
    archive = _tar(tmp_path / "archive")
    archive.write_bytes(archive.read_bytes()[:cut])
    with pytest.raises(DownloadError, match="damaged"):
        extract_archive(archive, tmp_path / "data")


def test_neither_tar_nor_zip(tmp_path: Path) -> None:
    (tmp_path / "page.zip").write_text("<html>not found</html>")
    with pytest.raises(DownloadError, match="neither tar nor zip"):
        extract_archive(tmp_path / "page.zip", tmp_path / "data")


def test_empty_archive(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "archive", "w"):
        pass
    with pytest.raises(DownloadError, match="holds no files"):
        extract_archive(tmp_path / "archive", tmp_path / "data")


def test_missing_archive(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="no archive at"):
        extract_archive(tmp_path / "absent.zip", tmp_path / "data")


def test_target_is_replaced_whole(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "stale.png").touch()
    extract_archive(_tar(tmp_path / "archive"), tmp_path / "data")
    assert _content(tmp_path / "data") == FILES


def test_remains_of_a_killed_run_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / ".data.partial").mkdir()
    (tmp_path / ".data.partial" / "stale.png").touch()
    extract_archive(_tar(tmp_path / "archive"), tmp_path / "data")
    assert _content(tmp_path / "data") == FILES


def _fail_at_second_file(
    monkeypatch: pytest.MonkeyPatch, kind: str, failure: BaseException
) -> None:
    owner = tarfile.TarFile if kind == "tar" else zipfile.ZipFile
    real, calls = owner.extract, []

    def extract(*args: object, **options: object) -> object:
        calls.append(args)
        if len(calls) == 2:
            raise failure
        return real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(owner, "extract", extract)


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize(
    ("failure", "raised", "message"),
    [
        pytest.param(KeyboardInterrupt("stop"), KeyboardInterrupt, "stop", id="killed"),
        pytest.param(OSError(errno.ENOSPC, ""), StorageError, "the disk is full", id="disk full"),
    ],
)
def test_interrupted_run_leaves_the_old_target(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    failure: BaseException,
    raised: type[BaseException],
    message: str,
) -> None:
    archive = (_tar if kind == "tar" else _zip)(tmp_path / "archive")
    target = tmp_path / "data"
    target.mkdir()
    (target / "old").touch()
    _fail_at_second_file(monkeypatch, kind, failure)
    with pytest.raises(raised, match=message):
        extract_archive(archive, target)
    assert _content(target) == {"old": b""}
    assert _names(tmp_path) == ["archive", "data"]


@pytest.mark.parametrize("write", WRITERS)
def test_an_archive_of_more_than_is_allowed_is_refused(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    archive, total = write(tmp_path / "archive"), sum(map(len, FILES.values()))
    extract_archive(archive, tmp_path / "data", max_entries=4, max_bytes=total)
    before = _content(tmp_path / "data")
    with pytest.raises(DownloadError, match="more entries than are allowed"):
        extract_archive(archive, tmp_path / "data", max_entries=2)
    with pytest.raises(DownloadError, match=r"more bytes, unpacked, than are allowed"):
        extract_archive(archive, tmp_path / "data", max_bytes=total - 1)
    assert _content(tmp_path / "data") == before
