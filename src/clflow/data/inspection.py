"""One pass over the files of a category: what each of them is and what is wrong with it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from clflow.data.images import read_mask, read_stored
from clflow.data.layouts import find_images
from clflow.data.records import Found
from clflow.data.table_layout import TABLE
from clflow.errors import DataError
from clflow.files import sha256_of
from clflow.progress import track

MaskState = Literal["none", "empty", "filled", "broken"]

# Reading and hashing release the interpreter lock; more threads only cost memory.
_READERS = 8


@dataclass(frozen=True)
class Finding:
    """What one image is; `name` is its path relative to the root, `kind` as "png 8-bit grey".

    An image that cannot be read has an empty `sha256` and a `problem`.
    """

    found: Found
    name: str
    sha256: str = ""
    height: int = 0
    width: int = 0
    kind: str = ""
    mask_state: MaskState = "none"
    problem: str | None = None

    @property
    def readable(self) -> bool:
        """Whether the image itself can be read."""
        return bool(self.sha256)


@dataclass(frozen=True)
class Inspection:
    """The findings of a category; `ignored` are entries beside the images that no one reads."""

    category: str
    findings: tuple[Finding, ...]
    ignored: tuple[str, ...]

    def select(self, label: int | None = None, part: str | None = None) -> list[Finding]:
        """Return the readable images with this label and of this part."""
        return [
            finding
            for finding in self.findings
            if finding.readable
            and label in (None, finding.found.label)
            and part in (None, finding.found.part)
        ]


def inspect_category(root: Path, category: str, layout: str) -> Inspection:
    """Read every image and mask of a category once.

    Raises:
        SettingsError: no such layout or category.
        DataError: the folder does not have the layout.
    """
    images = find_images(root, category, layout)
    with ThreadPoolExecutor(_READERS) as pool:
        inspected = pool.map(partial(_inspect_image, root), images)
        findings = tuple(track(inspected, f"reading {category}", len(images)))
    return Inspection(category, findings, tuple(_ignored(root, images)))


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _inspect_image(root: Path, found: Found) -> Finding:
    name = _relative(found.path, root)
    try:
        pixels = read_stored(found.path)
    except DataError as error:
        return Finding(found, name, problem=str(error))
    height, width = pixels.shape[:2]
    state, problem = _inspect_mask(found.mask, (height, width))
    kind = _kind(found.path, pixels)
    return Finding(found, name, sha256_of(found.path), height, width, kind, state, problem)


def _inspect_mask(path: Path | None, shape: tuple[int, int]) -> tuple[MaskState, str | None]:
    if path is None:
        return "none", None
    try:
        return "filled" if read_mask(path, shape).any() else "empty", None
    except DataError as error:
        return "broken", str(error)


def _kind(path: Path, pixels: NDArray[Any]) -> str:
    suffix = path.suffix.lower().lstrip(".")
    return f"{suffix} {pixels.itemsize * 8}-bit {'grey' if pixels.ndim == 2 else 'RGB'}"


def _ignored(root: Path, images: list[Found]) -> list[str]:
    files = {path for image in images for path in (image.path, image.mask) if path}
    read = files | {parent for path in files for parent in path.parents}
    entries = [
        path
        for folder in {image.path.parent for image in images if image.path.parent.is_dir()}
        for path in folder.iterdir()
    ]
    return sorted(
        _relative(path, root)
        for path in entries
        if path not in read and path.name != TABLE and not path.name.startswith(".")
    )
