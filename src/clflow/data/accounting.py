"""Every file of a category that no one reads, and why."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from clflow.data.headers import is_picture, other_format
from clflow.data.images import IMAGE_SUFFIXES, is_image
from clflow.data.records import GROUND_TRUTH, MASKS, TEST, TRAIN, Found
from clflow.data.table_layout import TABLE

_START = 64
_SKIPPED = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})


@dataclass(frozen=True)
class Unread:
    """Files that are not read, relative to the root, and why; `spoils` where a study would suffer.

    `reason` is empty of files that are no pictures.
    """

    names: tuple[str, ...]
    reason: str = ""
    spoils: bool = False


def unread_files(
    root: Path, folder: Path, images: Iterable[Found], table: bool, ignored: Path | None = None
) -> list[Unread]:
    """Return the files below a category's folder that are neither images nor masks of the study.

    Args:
        table: whether a table says which images are read, so that others are left out on purpose.
        ignored: the mask of what is ignored of all images.
    """
    images = list(images)
    read = {path for image in images for path in (image.path, image.mask) if path} | {ignored}
    kinds = {image.path.parent for image in images}
    matched = {image.mask.parent for image in images if image.mask}
    groups: defaultdict[tuple[str, bool], list[str]] = defaultdict(list)
    for path in _files(folder):
        if path not in read and not (table and path.name == TABLE):
            reason = _reason(path, folder, kinds, matched, table)
            groups[reason].append(_relative(path, root))
    return [
        Unread(tuple(sorted(names)), reason, spoils)
        for (reason, spoils), names in sorted(groups.items())
    ]


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, hidden ones left out; links are followed, never in a loop."""
    seen: set[str] = set()
    for name, folders, files in os.walk(folder, followlinks=True):
        place = os.path.realpath(name)
        folders[:] = [] if place in seen else sorted(filter(_is_seen, folders))
        if place not in seen:
            yield from (Path(name, file) for file in files if _is_seen(file))
        seen.add(place)


def _is_seen(name: str) -> bool:
    return not name.startswith(".") and name not in _SKIPPED


def _reason(
    path: Path, folder: Path, kinds: set[Path], matched: set[Path], table: bool
) -> tuple[str, bool]:
    start = _start_of(path)
    if not is_picture(start):
        return "", False
    if table:
        return "pictures that the table does not list", False
    top, *_ = path.relative_to(folder).parts
    masks = _holds_masks(path, folder)
    if masks and is_image(path):
        return "masks that bear the name of no image", path.parent not in matched
    if (masks or path.parent in kinds or top in (TRAIN, TEST)) and not is_image(path):
        return _format_reason(path, start), True
    if any(kind in path.parents for kind in kinds) or top in (TRAIN, TEST):
        return "pictures in a folder where the layout has none, move them up or out", True
    if len(path.relative_to(folder).parts) == 1:
        return "pictures outside of any folder that is read", False
    return f"pictures in {top}/, which the layout does not read", False


def _start_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_START)
    except OSError:
        return b""


def _holds_masks(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts[:-1]
    return any(part in (GROUND_TRUTH, MASKS) or part.endswith("_mask") for part in parts)


def _format_reason(path: Path, start: bytes) -> str:
    if name := other_format(start):
        return f"pictures in the format {name}, which is not read, convert them to PNG"
    suffix = path.suffix or "no suffix"
    read = ", ".join(sorted(IMAGE_SUFFIXES))
    return f"pictures named with {suffix}, rename them: read are {read}"
