"""Folder layouts of data sets: where images, labels and masks are."""

import csv
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from clflow.data.images import is_image
from clflow.data.names import is_good
from clflow.data.records import (
    ANOMALY,
    ANY,
    GOOD,
    GROUND_TRUTH,
    MASKS,
    TEST,
    TRAIN,
    Found,
    Layout,
    entries,
    subfolders,
)
from clflow.data.table_layout import ListedImages
from clflow.errors import DataError, unknown_name

VISA_TABLE = Path("split_csv", "1cls.csv")

_MASK_ENDING = "_mask"
_VISA_COLUMNS = ("object", "split", "label", "image", "mask")
_CATEGORY_LENGTH = 240
_CATEGORY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def _images_in(folder: Path) -> list[Path]:
    return [path for path in entries(folder) if is_image(path) and path.is_file()]


def _good_images(folder: Path, part: str) -> list[Found]:
    return [Found(path, None, GOOD, 0, part) for path in _images_in(folder)]


def _good_folders(folder: Path) -> list[Path]:
    return [path for path in subfolders(folder) if is_good(path.name)]


def _all_good(folder: Path, part: str) -> list[Found]:
    """Return the images of the folders that bear a name of good ones."""
    return [image for place in _good_folders(folder) for image in _good_images(place, part)]


def _defective_images(folder: Path, defect: str, mask_folders: list[Path]) -> list[Found]:
    masks = {path.stem: path for parent in mask_folders for path in _images_in(parent)}
    return [
        Found(path, masks.get(path.stem + _MASK_ENDING) or masks.get(path.stem), defect, 1, TEST)
        for path in _images_in(folder)
    ]


@dataclass(frozen=True)
class SplitFolders:
    """`<category>/train/<good>`, `test/<good or defect>`, `ground_truth/<defect>` (MVTec, BTAD)."""

    good: str

    masks: str = "ground_truth/<defect>/"

    @property
    def expects(self) -> str:
        """The folders of a category."""
        return f"<category>/train/{self.good} and <category>/test/..."

    def matches(self, root: Path) -> bool:
        """Return whether a sub-folder has good training images."""
        return any((folder / TRAIN / self.good).is_dir() for folder in subfolders(root))

    def categories(self, root: Path) -> list[str]:
        """Return the sub-folders that have a `train` folder."""
        return [folder.name for folder in subfolders(root) if (folder / TRAIN).is_dir()]

    def folder(self, root: Path, category: str) -> Path:
        """Return the sub-folder."""
        return root / category

    def images(self, root: Path, category: str) -> list[Found]:
        """Return training images, then test images by kind."""
        folder = root / category
        found = _all_good(folder / TRAIN, TRAIN)
        for kind in subfolders(folder / TEST):
            if is_good(kind.name):
                found += _good_images(kind, TEST)
            else:
                found += _defective_images(kind, kind.name, [folder / GROUND_TRUTH / kind.name])
        return found


@dataclass(frozen=True)
class VisA:
    """The one-class split table of VisA; its paths are relative to the root."""

    expects: str = f"{VISA_TABLE.as_posix()} with the columns {', '.join(_VISA_COLUMNS)}"
    masks: str = "the column mask of the table"

    def matches(self, root: Path) -> bool:
        """Return whether the split table is there."""
        return (root / VISA_TABLE).is_file()

    def categories(self, root: Path) -> list[str]:
        """Return the objects of the split table."""
        return sorted({row["object"] for row in self._rows(root)})

    def folder(self, root: Path, category: str) -> Path:
        """Return the folder of an object."""
        return root / category

    def images(self, root: Path, category: str) -> list[Found]:
        """Return the rows of an object, in the order of the table."""
        return [_visa_image(root, row) for row in self._rows(root) if row["object"] == category]

    def _rows(self, root: Path) -> list[dict[str, str]]:
        path = root / VISA_TABLE
        if not path.is_file():
            return []
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file, restval="", strict=True)
                rows, columns = list(reader), reader.fieldnames or ()
        except (OSError, ValueError, csv.Error) as error:
            raise DataError(f"cannot read {path}: {error}; restore it from the archive") from error
        if missing := set(_VISA_COLUMNS) - set(columns):
            raise DataError(
                f"{path} lacks the columns {', '.join(sorted(missing))}; "
                "restore it from the archive"
            )
        return rows


def _visa_image(root: Path, row: dict[str, str]) -> Found:
    label, split = row["label"], row["split"]
    if label not in ("normal", ANOMALY) or split not in (TRAIN, TEST):
        raise DataError(
            f"{root / VISA_TABLE}: {row['image']} has label {label!r} and split {split!r}, "
            "allowed are normal or anomaly, and train or test"
        )
    if label == "normal":
        return Found(root / row["image"], None, GOOD, 0, split)
    return Found(
        root / row["image"], root / row["mask"] if row["mask"] else None, ANOMALY, 1, split
    )


@dataclass(frozen=True)
class OwnFolder:
    """Own parts: `train/good` + `test/<kind>`, or `good` + one folder per defect.

    The root is one category where it has such folders itself. Masks are optional, in
    `ground_truth/<defect>`, `masks/<defect>` or `<defect>_mask`.
    """

    expects: str = "<category>/train/good + <category>/test/..., or <category>/good + <defect>/"
    masks: str = "ground_truth/<defect>/, masks/<defect>/ or <defect>_mask/"

    def matches(self, root: Path) -> bool:
        """Return whether there is any category."""
        return bool(self.categories(root))

    def categories(self, root: Path) -> list[str]:
        """Return the root's own name if it is a category, otherwise its categories."""
        if self._is_category(root):
            return [root.resolve().name]
        return [folder.name for folder in subfolders(root) if self._is_category(folder)]

    def folder(self, root: Path, category: str) -> Path:
        """Return the root if it is a category, otherwise its sub-folder."""
        return root if self._is_category(root) else root / category

    def images(self, root: Path, category: str) -> list[Found]:
        """Return good images, then test images by kind."""
        folder = self.folder(root, category)
        has_test = (folder / TEST).is_dir()
        part = TRAIN if has_test or (folder / TRAIN).is_dir() else ANY
        has_own = bool(_good_folders(folder / TRAIN))
        found = _all_good(folder / TRAIN if has_own else folder, part)
        for kind in subfolders(folder / TEST) if has_test else self._defects(folder):
            if is_good(kind.name):
                found += _good_images(kind, TEST)
            else:
                found += _defective_images(kind, kind.name, self._mask_folders(folder, kind.name))
        return found

    def _is_category(self, folder: Path) -> bool:
        return (folder / TRAIN).is_dir() or bool(_good_folders(folder))

    def _defects(self, folder: Path) -> list[Path]:
        kinds = subfolders(folder)
        names = {kind.name for kind in kinds}
        reserved = {TRAIN, GROUND_TRUTH, MASKS} | {name + _MASK_ENDING for name in names}
        return [kind for kind in kinds if kind.name not in reserved and not is_good(kind.name)]

    def _mask_folders(self, folder: Path, defect: str) -> list[Path]:
        return [
            folder / (defect + _MASK_ENDING),
            folder / MASKS / defect,
            folder / GROUND_TRUTH / defect,
        ]


# In the order of detection: the most particular first.
_LAYOUTS: dict[str, Layout] = {
    "visa": VisA(),
    "btad": SplitFolders(good="ok"),
    "mvtec_ad": SplitFolders(good=GOOD),
    "table": ListedImages(),
    "folder": OwnFolder(),
}


def layout_names() -> list[str]:
    """Return the names of the known layouts, sorted."""
    return sorted(_LAYOUTS)


def find_layout(name: str) -> Layout:
    """Return the layout of a name.

    Raises:
        SettingsError: there is none.
    """
    if name not in _LAYOUTS:
        raise unknown_name("layout", name, _LAYOUTS)
    return _LAYOUTS[name]


def detect_layout(root: Path) -> str:
    """Return the name of the first layout that `root` looks like, "folder" if none."""
    return next((name for name, layout in _LAYOUTS.items() if layout.matches(root)), "folder")


def find_categories(root: Path, layout: str) -> list[str]:
    """Return the names of the categories below `root`, sorted.

    Raises:
        SettingsError: no such layout.
        DataError: no such folder, no category in it, or a name that no stage can have.
    """
    if not root.is_dir():
        raise DataError(f"no data folder {root}: give the folder that holds the categories")
    found = find_layout(layout)
    names = found.categories(root)
    if not names:
        raise DataError(
            f"no category in {root}: the layout {layout!r} expects {found.expects}; "
            f"known layouts are {', '.join(layout_names())}"
        )
    if bad := [name for name in names if not _CATEGORY_NAME.fullmatch(name)]:
        raise DataError(
            f"category names {', '.join(map(repr, bad))} in {root} cannot name a stage: allowed "
            "are letters, digits and _ . - after a letter or digit; rename the folders"
        )
    if long := [name for name in names if len(name) > _CATEGORY_LENGTH]:
        raise DataError(
            f"category name {long[0]!r} in {root} has {len(long[0])} characters: at most "
            f"{_CATEGORY_LENGTH} leave room for the files that are named after it; rename it"
        )
    return names


def find_images(root: Path, category: str, layout: str) -> list[Found]:
    """Return the images of a category, in a fixed order.

    Raises:
        SettingsError: no such layout or category.
        DataError: as `find_categories`.
    """
    names = find_categories(root, layout)
    if category not in names:
        raise unknown_name("category", category, names)
    found = find_layout(layout).images(root, category)
    if bad := [str(image.path) for image in found if not _is_writable_name(str(image.path))]:
        raise DataError(
            f"{len(bad)} paths in {category} are not UTF-8 or have control characters, "
            f"the first is {bad[0]!a}: rename the files or folders"
        )
    return found


def _is_writable_name(name: str) -> bool:
    return not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name)
