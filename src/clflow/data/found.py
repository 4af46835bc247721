"""What a layout finds: the images of a category, as files and labels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from clflow.errors import DataError

ANOMALY = "anomaly"
TRAIN, TEST, ANY = "train", "test", "any"


@dataclass(frozen=True)
class Found:
    """An image of a category; `part` is "any" where the data leave the split to the draw."""

    path: Path
    mask: Path | None
    defect: str
    label: int
    part: str


class Layout(Protocol):
    """How a data set is laid out."""

    @property
    def expects(self) -> str:
        """The folders or files that make a category, for messages."""

    def matches(self, root: Path) -> bool:
        """Return whether `root` looks like this layout."""

    def categories(self, root: Path) -> list[str]:
        """Return the names of the categories, sorted."""

    def images(self, root: Path, category: str) -> list[Found]:
        """Return the images of a category, in a fixed order."""


def entries(folder: Path) -> list[Path]:
    """Return what is in a folder, sorted, without hidden names; nothing where there is no folder.

    Raises:
        DataError: the folder cannot be listed.
    """
    if not folder.is_dir():
        return []
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"cannot list {folder}: {error.strerror}; check rights") from error


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder, as `entries`."""
    return [path for path in entries(folder) if path.is_dir()]
