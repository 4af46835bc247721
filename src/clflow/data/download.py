"""Fetch the archive of a data set from its mirrors; nothing unverified is ever returned."""

import logging
from math import ceil
from pathlib import Path

import pooch
import requests

from clflow.data.catalog import Archive
from clflow.errors import DownloadError, StorageError
from clflow.files import sha256_of
from clflow.progress import say, track

_MEBIBYTE = 1 << 20
_TIMEOUT_SECONDS = (10.0, 60.0)  # to connect, between two reads


def fetch_archive(dataset: Archive, folder: Path, *, local: Path | None = None) -> Path:
    """Return the verified archive: `local` if given, else the one in `folder`, else downloaded.

    A broken download stays in `folder` as `<archive>.part`; the next call resumes it.

    Raises:
        DownloadError: a found archive does not verify, or no mirror delivered one that does.
        StorageError: the download cannot be written.
    """
    archive = local or folder / dataset.archive
    if local is not None and not local.is_file():
        raise DownloadError(f"no archive at {local}: give the path of {dataset.archive}")
    if not archive.is_file():
        _download(dataset, archive)
    elif fault := _fault(archive, dataset):
        raise DownloadError(
            f"{archive} {fault}: it is truncated, altered or not {dataset.title}; "
            "remove it and download again, or give the right archive"
        )
    return archive


def _fault(archive: Path, dataset: Archive) -> str | None:
    size = archive.stat().st_size
    if dataset.size is not None and size != dataset.size:
        return f"has {size} bytes instead of {dataset.size}"
    actual = sha256_of(archive)
    return None if actual == dataset.sha256 else f"has sha256 {actual} instead of {dataset.sha256}"


def _download(dataset: Archive, archive: Path) -> None:
    say(f"{dataset.title}: licence {dataset.licence}")
    say(f"{dataset.title}: please cite {dataset.citation}")
    pooch.get_logger().setLevel(logging.WARNING)  # what happens is said here, to stdout
    try:
        _try_mirrors(dataset, archive)
    except OSError as error:
        raise StorageError(
            f"cannot write {archive}: {error.strerror or error}; "
            "free space or check rights, then rerun to resume"
        ) from error


def _try_mirrors(dataset: Archive, archive: Path) -> None:
    failures = []
    for url in dataset.urls:
        try:
            return _retrieve(url, dataset, archive)
        except (requests.RequestException, DownloadError, ValueError) as error:  # pooch: ValueError
            failures.append(f"{url}: {error}")
            say(f"download failed: {failures[-1]}")
    source = dataset.homepage or dataset.urls[0]
    raise DownloadError(
        "\n  ".join([f"no mirror of {dataset.title} delivered {archive.name}:", *failures])
        + f"\nrerun to resume, or download it by hand (see {source}) and give its path "
        f"or save it as {archive}"
    )


def _retrieve(url: str, dataset: Archive, archive: Path) -> None:
    """Let pooch verify what a mirror delivers and put it in place; it cannot resume, we do."""
    part = archive.with_name(f"{archive.name}.part")

    def resume(url: str, output: str, _: object) -> None:
        _complete(part, url, dataset)
        _hand_over(part, Path(output))

    known_hash = f"sha256:{dataset.sha256}"
    pooch.retrieve(url, known_hash, archive.name, archive.parent, downloader=resume)
    part.unlink(missing_ok=True)


def _hand_over(part: Path, output: Path) -> None:
    """Make `output` a second name of `part`: pooch deletes `output` when it is interrupted."""
    output.unlink()
    try:
        output.hardlink_to(part)
    except OSError:  # a file system without hard links
        part.replace(output)


def _complete(part: Path, url: str, dataset: Archive) -> None:
    """Fetch what `part` lacks and verify it; a file that does not verify is removed."""
    if _bytes_in(part) != dataset.size:
        _resume_while_growing(part, url, dataset)
    if fault := _fault(part, dataset):
        part.unlink()
        raise DownloadError(f"the downloaded file {fault} and was removed")


def _bytes_in(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _resume_while_growing(part: Path, url: str, dataset: Archive) -> None:
    while True:
        before = _bytes_in(part)
        try:
            return _append(part, url, dataset)
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            if _bytes_in(part) <= before:
                raise
        say(f"{url}: connection lost after {_bytes_in(part)} bytes, resuming")


def _append(part: Path, url: str, dataset: Archive) -> None:
    offset = _bytes_in(part)
    headers = {"Accept-Encoding": "identity", "Range": f"bytes={offset}-"}
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as response:
        if offset and response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # no byte is missing; whether they are the right ones is for the hash to say
        response.raise_for_status()
        if response.status_code != requests.codes.partial_content:
            offset = 0
        missing = _bytes_missing(response, dataset, offset)
        chunks = response.iter_content(_MEBIBYTE)
        with part.open("ab") as file:
            file.truncate(offset)
            for chunk in track(chunks, f"{dataset.archive} (MiB)", ceil(missing / _MEBIBYTE)):
                file.write(chunk)


def _bytes_missing(response: requests.Response, dataset: Archive, offset: int) -> int:
    """Return the announced length, checked before a byte of a wrong file is written."""
    missing = int(response.headers.get("Content-Length", 0))
    if missing and dataset.size is not None and offset + missing != dataset.size:
        raise DownloadError(
            f"the server offers {offset + missing} bytes instead of {dataset.size}: "
            "the file is another one or truncated"
        )
    return missing
