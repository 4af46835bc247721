"""Unpack archives that are not trusted: plain files below the target, all of them or none."""

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, cast

from clflow.errors import DownloadError
from clflow.files import atomic_folder
from clflow.progress import track

# several times what the largest data set of the catalog comes to
MAX_ENTRIES = 500_000
MAX_BYTES = 64 << 30

_MEBIBYTE = 1 << 20
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)


@dataclass
class _Allowance:
    """What an archive may still hold, told before each member is written."""

    archive: Path
    entries: int
    bytes: int

    def take(self, size: int) -> None:
        self.entries -= 1
        self.bytes -= size
        if self.entries < 0 or self.bytes < 0:
            what = "entries" if self.entries < 0 else "bytes, unpacked,"
            raise DownloadError(
                f"{self.archive} holds more {what} than are allowed: it is no archive of images, "
                "or one that only this limit stops from filling the disk; do not use it"
            )


def extract_archive(
    archive: Path,
    target: Path,
    *,
    top_folder: str = "",
    max_entries: int = MAX_ENTRIES,
    max_bytes: int = MAX_BYTES,
) -> None:
    """Unpack a tar (any compression) or zip; `target` is replaced only when all went well.

    With `top_folder`, only that folder of the archive is unpacked, its content into `target`.

    Raises:
        DownloadError: the archive is missing, damaged or empty, lacks `top_folder`, holds a link, a
            device or a path that leads outside of `target`, or more entries or bytes than allowed.
        StorageError: the files cannot be written; nothing is left behind.
    """
    if not archive.is_file():
        raise DownloadError(f"no archive at {archive}: download it first")
    unpack = _unpack_zip if zipfile.is_zipfile(archive) else _unpack_tar
    with atomic_folder(target) as partial, _damage_reported(archive):
        unpack(partial, PurePosixPath(top_folder), _Allowance(archive, max_entries, max_bytes))
        if not any(partial.iterdir()):
            place = f"folder {top_folder!r} with files" if top_folder else "files"
            raise DownloadError(f"{archive} holds no {place}: check that it is the right archive")


@contextmanager
def _damage_reported(archive: Path) -> Iterator[None]:
    try:
        yield
    except (*_DAMAGE, OSError) as error:
        # gzip and bz2 report damage as an OSError without a number; a full disk has one
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DownloadError(
            f"cannot unpack {archive}: {error}; it is damaged or neither tar nor zip, "
            "remove it and download again"
        ) from error


def _unpack_zip(folder: Path, top: PurePosixPath, allowance: _Allowance) -> None:
    archive = allowance.archive
    with zipfile.ZipFile(archive) as zipped:
        members = zipped.infolist()
        for member in track(members, f"unpack {archive.name} (files)", len(members)):
            kind = stat.S_IFMT(member.external_attr >> 16)
            regular = kind in (0, stat.S_IFREG, stat.S_IFDIR)
            path = _checked(archive, member.orig_filename, regular)
            # no more is unpacked of a member than its entry says
            allowance.take(member.file_size)
            if not member.is_dir() and top in path.parents:
                member.filename = str(path.relative_to(top))
                zipped.extract(member, folder)


def _unpack_tar(folder: Path, top: PurePosixPath, allowance: _Allowance) -> None:
    archive = allowance.archive
    total = archive.stat().st_size // _MEBIBYTE + 1
    for _ in track(_tar_steps(folder, top, allowance), f"unpack {archive.name} (MiB)", total):
        pass


def _tar_steps(folder: Path, top: PurePosixPath, allowance: _Allowance) -> Iterator[None]:
    """Unpack in one pass, as seeking in a compressed tar is slow; yield for each MiB begun."""
    archive, done = allowance.archive, 0
    with archive.open("rb") as file, tarfile.open(fileobj=file) as tar:
        for member in tar:
            path = _checked(archive, member.name, member.isreg() or member.isdir())
            allowance.take(member.size)
            if member.isreg() and top in path.parents:
                inside = member.replace(name=str(path.relative_to(top)), deep=False)
                tar.extract(inside, folder, filter="data")
            while file.tell() >= (done + 1) * _MEBIBYTE:
                done += 1
                yield
        _check_end(tar)
    yield


def _check_end(tar: tarfile.TarFile) -> None:
    # tarfile takes a missing or unreadable header for the end; the true end is a block of zeros
    stream = cast(IO[bytes], tar.fileobj)
    stream.seek(tar.offset)
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"it breaks off or is unreadable after {tar.offset} bytes")
    while stream.read(_MEBIBYTE):
        pass  # decompressors compare their checksum at the end of the stream


def _checked(archive: Path, name: str, regular: bool) -> PurePosixPath:
    """Return a member's path, or raise: only files and folders below the root are taken."""
    # a Windows path splits at both kinds of slash and knows drive letters
    path = PureWindowsPath(name)
    if path.anchor or ".." in path.parts or "\0" in name:
        raise DownloadError(
            f"{archive} holds {name!r}, which leads outside of the folder: do not use this archive"
        )
    if not regular:
        raise DownloadError(
            f"{archive} holds {name!r}, a link or device where only files and folders are allowed: "
            "do not use this archive"
        )
    return PurePosixPath(name)
