"""A package: the folder of a fitted detector with all that a decision needs, every file hashed."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clflow.data.reading import Reading, parse_reading
from clflow.data.region_of_interest import RegionOfInterest
from clflow.decision.calibration import Calibration
from clflow.decision.sealing import BACKBONE, CALIBRATION, CONTENTS, FORMAT, REGION, contents_digest
from clflow.errors import DataError
from clflow.files import sha256_of

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_NEEDED = ("format", "clflow", "method", "seed", "data", "files", "digest")
_REMEDY = "copy the package again, or train again"


@dataclass(frozen=True, eq=False)
class Package:
    """What a package says of itself; its files were checked when it was read.

    Attributes:
        folder: where it lies.
        contents: all of package.json.
        calibration: thresholds, None where no good image was held out.
        region: what of an image counts, None for all.
    """

    folder: Path
    contents: Mapping[str, Any]
    calibration: Calibration | None
    region: RegionOfInterest | None

    @property
    def digest(self) -> str:
        """SHA-256 over package.json, and by it over every file."""
        return str(self.contents["digest"])

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """The sizes (width, height) of the images of the training, the most frequent first."""
        return tuple((int(w), int(h)) for w, h, _ in self.contents["data"]["sizes"])

    @property
    def reading(self) -> Reading:
        """How files are read: what is white in images of more than 8 bits."""
        return parse_reading(str(self.contents["data"]["reading"]))

    @property
    def weights(self) -> Path | None:
        """The backbone's weights, None where the package does not hold them."""
        path = self.folder / BACKBONE
        return path if BACKBONE in self.contents["files"] else None


def is_package(folder: Path) -> bool:
    """Return whether a folder says that it is a package."""
    return (folder / CONTENTS).is_file()


def read_package(folder: Path) -> Package:
    """Read a package and check every file of it against its hash.

    Raises:
        DataError: it is of a newer version, a file is missing or has changed, or a name leads out
            of the folder.
    """
    contents = read_contents(folder)
    _check_files(folder, contents["files"])
    try:
        calibration = None
        if CALIBRATION in contents["files"]:
            values = json.loads((folder / CALIBRATION).read_text(encoding="utf-8"))
            calibration = Calibration.from_dict(values)
        region = _read_region(folder, contents)
        package = Package(folder, contents, calibration, region)
        _ = package.sizes, package.reading
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"package {folder} is malformed ({_short(error)}); {_REMEDY}") from error
    return package


def read_contents(folder: Path) -> dict[str, Any]:
    """Return the content of package.json, checked against its own digest.

    Raises:
        DataError: it cannot be read, is of a newer version or has changed.
    """
    path = folder / CONTENTS
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({_short(error)}); {_REMEDY}") from error
    if not isinstance(contents, dict) or not isinstance(contents.get("format"), int):
        raise DataError(f"{path} does not say its format: it is no package; {_REMEDY}")
    if contents["format"] > FORMAT:
        raise DataError(
            f"package {folder} has format {contents['format']}, written by clflow "
            f"{contents.get('clflow', 'of a newer version')}; this one reads up to {FORMAT}: "
            "install that version"
        )
    if missing := [key for key in _NEEDED if key not in contents]:
        raise DataError(f"{path} does not say its {' and '.join(missing)}; {_REMEDY}")
    if contents["digest"] != contents_digest(contents):
        raise DataError(f"{path} has changed since it was written; {_REMEDY}")
    return contents


def _read_region(folder: Path, contents: Mapping[str, Any]) -> RegionOfInterest | None:
    described = contents.get("region")
    if described is None:
        return None
    mask = folder / REGION if described["mask"] else None
    return RegionOfInterest.read(mask, int(described["border"]))


def _check_files(folder: Path, files: Mapping[str, Any]) -> None:
    if not isinstance(files, dict):
        raise DataError(f"package {folder} lists no files; {_REMEDY}")
    for name, stated in files.items():
        if not _PLAIN_NAME.fullmatch(name):
            raise DataError(
                f"package {folder} lists {name!r}, which is no plain file name: a package holds "
                "its own files only; do not use it"
            )
        path = folder / name
        if path.is_symlink():
            raise DataError(
                f"{path} is a link: a package holds its own files only; copy the file in its place"
            )
        if not path.is_file():
            raise DataError(f"package {folder} lacks {name}; {_REMEDY}")
        if path.stat().st_size != stated.get("bytes") or sha256_of(path) != stated.get("sha256"):
            raise DataError(f"{path} has changed since the package was written; {_REMEDY}")


def _short(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
