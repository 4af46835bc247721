import errno
import hashlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pooch
import pytest
from mirrors import Server, running_server

from clflow.data import download
from clflow.data.catalog import Dataset, load_dataset
from clflow.data.download import fetch_archive
from clflow.errors import DownloadError, StorageError

MEBIBYTE = 1 << 20
CONTENT = np.random.default_rng(0).bytes(3 * MEBIBYTE + 17)
OTHER = b"<html>this share has moved</html>"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    with running_server() as server:
        yield server


def _dataset(*urls: str, size: int | None = len(CONTENT)) -> Dataset:
    change = {
        "title": "Tiny",
        "urls": urls or ("http://127.0.0.1:9/unused",),
        "archive": "tiny.zip",
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "size": size,
    }
    return load_dataset("mvtec_ad").model_copy(update=change)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def _interrupt_after_one(chunks: Iterator[bytes], *_: object) -> Iterator[bytes]:
    yield next(chunks)
    raise KeyboardInterrupt


@pytest.mark.parametrize("size", [len(CONTENT), None], ids=["size known", "size unknown"])
def test_download(server: Server, tmp_path: Path, size: int | None) -> None:
    archive = fetch_archive(_dataset(server.add("a", CONTENT), size=size), tmp_path / "new")
    assert archive == tmp_path / "new" / "tiny.zip"
    assert archive.read_bytes() == CONTENT
    assert _names(archive.parent) == ["tiny.zip"]


def test_licence_and_citation_come_before_the_download(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = _dataset(server.add("a", CONTENT))
    fetch_archive(dataset, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert dataset.licence in lines[0]
    assert dataset.citation in lines[1]
    assert lines[2].startswith("tiny.zip")


def test_pooch_adds_no_lines_of_its_own(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logger = pooch.get_logger()
    logger.setLevel(logging.NOTSET)
    logger.addHandler(caplog.handler)
    try:
        fetch_archive(_dataset(server.url("gone"), server.add("a", CONTENT)), tmp_path)
    finally:
        logger.removeHandler(caplog.handler)
    assert caplog.messages == []


def test_verified_archive_is_not_downloaded_again(server: Server, tmp_path: Path) -> None:
    dataset = _dataset(server.add("a", CONTENT))
    assert fetch_archive(dataset, tmp_path) == fetch_archive(dataset, tmp_path)
    assert server.asked == [("a", 0)]


def test_second_mirror_after_404(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = _dataset(server.url("gone"), server.add("b", CONTENT))
    assert fetch_archive(dataset, tmp_path).read_bytes() == CONTENT
    failed = [line for line in capsys.readouterr().out.splitlines() if "failed" in line]
    assert len(failed) == 1
    assert server.url("gone") in failed[0]
    assert "404" in failed[0]


def test_all_mirrors_failing_lists_each_reason(server: Server, tmp_path: Path) -> None:
    dataset = _dataset(server.url("gone"), "http://127.0.0.1:9/refused")
    with pytest.raises(DownloadError) as caught:
        fetch_archive(dataset, tmp_path)
    message = str(caught.value)
    assert f"{server.url('gone')}: 404" in message
    assert "http://127.0.0.1:9/refused: " in message
    assert "by hand" in message
    assert _names(tmp_path) == []


def test_wrong_hash_of_a_download_leaves_no_file(server: Server, tmp_path: Path) -> None:
    altered = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    dataset = _dataset(server.add("a", altered))
    with pytest.raises(DownloadError) as caught:
        fetch_archive(dataset, tmp_path)
    assert hashlib.sha256(altered).hexdigest() in str(caught.value)
    assert dataset.sha256 in str(caught.value)
    assert _names(tmp_path) == []


def test_pooch_verifies_too(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = _dataset(server.add("a", CONTENT[::-1]))
    monkeypatch.setattr(download, "sha256_of", lambda _: dataset.sha256)
    with pytest.raises(DownloadError, match="does not match the known hash") as caught:
        fetch_archive(dataset, tmp_path)
    assert hashlib.sha256(CONTENT[::-1]).hexdigest() in str(caught.value)
    assert not (tmp_path / "tiny.zip").exists()


def test_wrong_file_of_a_mirror_does_not_spoil_the_next(server: Server, tmp_path: Path) -> None:
    dataset = _dataset(server.add("page", OTHER), server.add("b", CONTENT), size=None)
    assert fetch_archive(dataset, tmp_path).read_bytes() == CONTENT
    assert server.asked == [("page", 0), ("b", 0)]


def test_wrong_length_is_refused_before_a_partial_download_is_lost(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "tiny.zip.part").write_bytes(CONTENT[:1000])
    dataset = _dataset(server.add("page", OTHER, ranges=False))
    with pytest.raises(DownloadError, match=f"{len(OTHER)} bytes instead of {len(CONTENT)}"):
        fetch_archive(dataset, tmp_path)
    assert (tmp_path / "tiny.zip.part").read_bytes() == CONTENT[:1000]


@pytest.mark.parametrize("size", [len(CONTENT), None], ids=["size known", "size unknown"])
def test_archive_truncated_at_the_source(server: Server, tmp_path: Path, size: int | None) -> None:
    dataset = _dataset(server.add("a", CONTENT[:-5]), size=size)
    with pytest.raises(DownloadError, match="instead of"):
        fetch_archive(dataset, tmp_path)
    assert _names(tmp_path) == []


def test_broken_connection_is_resumed_where_it_broke(server: Server, tmp_path: Path) -> None:
    url = server.add("a", CONTENT, breaks=[2 * MEBIBYTE + 9, MEBIBYTE])
    assert fetch_archive(_dataset(url), tmp_path).read_bytes() == CONTENT
    assert server.asked == [("a", 0), ("a", 2 * MEBIBYTE), ("a", 3 * MEBIBYTE)]


def test_the_next_mirror_and_the_next_call_resume(server: Server, tmp_path: Path) -> None:
    first = server.add("a", CONTENT, breaks=[MEBIBYTE, 0])
    second = server.add("b", CONTENT, breaks=[MEBIBYTE, 0])
    dataset = _dataset(first, second)
    with pytest.raises(DownloadError, match="rerun to resume"):
        fetch_archive(dataset, tmp_path)
    assert _names(tmp_path) == ["tiny.zip.part"]
    assert fetch_archive(dataset, tmp_path).read_bytes() == CONTENT
    offsets = [("a", 0), ("a", 1), ("b", 1), ("b", 2), ("a", 2)]
    assert server.asked == [(name, count * MEBIBYTE) for name, count in offsets]
    assert _names(tmp_path) == ["tiny.zip"]


def test_server_without_ranges_restarts_from_zero(server: Server, tmp_path: Path) -> None:
    url = server.add("a", CONTENT, ranges=False, breaks=[2 * MEBIBYTE])
    assert fetch_archive(_dataset(url), tmp_path).read_bytes() == CONTENT
    assert server.asked == [("a", 0), ("a", 2 * MEBIBYTE)]


def test_server_without_ranges_that_always_breaks_is_given_up(
    server: Server, tmp_path: Path
) -> None:
    url = server.add("a", CONTENT, ranges=False, breaks=[MEBIBYTE] * 9)
    with pytest.raises(DownloadError, match="no mirror"):
        fetch_archive(_dataset(url), tmp_path)
    assert len(server.asked) == 2


@pytest.mark.parametrize("size", [len(CONTENT), None], ids=["size known", "size unknown"])
def test_whole_partial_file_is_taken(server: Server, tmp_path: Path, size: int | None) -> None:
    (tmp_path / "tiny.zip.part").write_bytes(CONTENT)
    dataset = _dataset(server.add("a", CONTENT), size=size)
    assert fetch_archive(dataset, tmp_path).read_bytes() == CONTENT
    assert server.asked == ([] if size else [("a", len(CONTENT))])


@pytest.mark.parametrize("given", ["local", "found"])
@pytest.mark.parametrize("content", [CONTENT[::-1], CONTENT[:-1]], ids=["altered", "truncated"])
def test_archive_on_disk_is_verified(tmp_path: Path, given: str, content: bytes) -> None:
    path = tmp_path / "tiny.zip"
    path.write_bytes(content)
    with pytest.raises(DownloadError, match=r"instead of .* remove it and download again"):
        fetch_archive(_dataset(), tmp_path, local=path if given == "local" else None)
    assert path.read_bytes() == content


def test_local_archive_is_used_in_place(tmp_path: Path) -> None:
    local = tmp_path / "by hand.zip"
    local.write_bytes(CONTENT)
    assert fetch_archive(_dataset(), tmp_path / "new", local=local) == local
    assert _names(tmp_path) == ["by hand.zip"]


def test_missing_local_archive(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"no archive at .*absent\.zip"):
        fetch_archive(_dataset(), tmp_path, local=tmp_path / "absent.zip")


def test_full_disk(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Iterator[bytes]:
        yield CONTENT[:MEBIBYTE]
        raise OSError(errno.ENOSPC, "No space left on device")

    dataset = _dataset(server.add("a", CONTENT))
    with monkeypatch.context() as patch:
        patch.setattr(download, "track", full)
        with pytest.raises(StorageError, match=r"No space left on device; .*rerun to resume"):
            fetch_archive(dataset, tmp_path)
    assert _names(tmp_path) == ["tiny.zip.part"]
    assert fetch_archive(dataset, tmp_path).read_bytes() == CONTENT
    assert server.asked == [("a", 0), ("a", MEBIBYTE)]


@pytest.mark.parametrize(
    ("place", "interrupt", "kept"),
    [
        pytest.param("clflow.data.download.track", _interrupt_after_one, MEBIBYTE, id="fetching"),
        pytest.param("clflow.data.download.sha256_of", _interrupt, len(CONTENT), id="verifying"),
        pytest.param("pooch.core.hash_matches", _interrupt, len(CONTENT), id="pooch verifying"),
    ],
)
def test_interruption_costs_nothing_fetched(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    interrupt: Callable[..., object],
    kept: int,
) -> None:
    dataset = _dataset(server.add("a", CONTENT))
    with monkeypatch.context() as patch:
        patch.setattr(place, interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch_archive(dataset, tmp_path)
    assert _names(tmp_path) == ["tiny.zip.part"]
    assert (tmp_path / "tiny.zip.part").stat().st_size == kept
    assert fetch_archive(dataset, tmp_path).read_bytes() == CONTENT
    assert _names(tmp_path) == ["tiny.zip"]


def test_file_system_without_hard_links(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert fetch_archive(_dataset(server.add("a", CONTENT)), tmp_path).read_bytes() == CONTENT
    assert _names(tmp_path) == ["tiny.zip"]


def test_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        fetch_archive(_dataset(server.add("a", CONTENT)), tmp_path / "file" / "below")
