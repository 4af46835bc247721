"""The bank of a category of the study in `params.yaml`, found by what the user typed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clflow.data.records import Manifest, read_manifest
from clflow.errors import DataError, SettingsError, unknown_name
from clflow.pipeline.params import load_study
from clflow.study.paths import StudyPaths
from clflow.synthesis.bank import SPLITS, read_bank
from clflow.synthesis.rows import BankRow


@dataclass(frozen=True)
class Place:
    """A category of a study; `root` is the folder that the paths of its images start from."""

    study: str
    category: str
    root: Path

    def rows(self, split: str) -> tuple[BankRow, ...]:
        """Return the rows of a split of the bank.

        Raises:
            SettingsError: there is no such split.
            DataError: there is no bank, or it is damaged.
        """
        if split not in SPLITS:
            raise unknown_name("split", split, SPLITS)
        return read_bank(StudyPaths(self.study).bank(self.category), split)

    def manifest(self) -> Manifest:
        """Return the manifest.

        Raises:
            DataError: it is missing or damaged.
        """
        return read_manifest(StudyPaths(self.study).manifest(self.category))

    def title(self, split: str) -> str:
        """Return the name of a split of the bank."""
        return f"{self.study}/{self.category} {split}"


def find_place(category: str) -> Place:
    """Return the place of a category of the study.

    Raises:
        SettingsError: params.yaml is missing or wrong, or the study has no such category.
    """
    study = load_study()
    if category not in study.categories:
        raise unknown_name("category", category, study.category_names)
    return Place(study.name, category, study.root_of(category))


def find_row(place: Place, name: str) -> BankRow:
    """Return the row that a name such as train/12 means.

    Raises:
        SettingsError: the name is of another form, or its split is unknown.
        DataError: the bank has no such row.
    """
    split, _, index = name.partition("/")
    if not (index.isascii() and index.isdecimal()):
        raise SettingsError(f"an anomaly is named SPLIT/INDEX, such as train/12, not {name!r}")
    rows = place.rows(split)
    found = [row for row in rows if row.index == int(index)]
    if not found:
        raise DataError(_no_row(place.title(split), int(index), [row.index for row in rows]))
    return found[0]


def _no_row(title: str, index: int, indices: Sequence[int]) -> str:
    if not indices:
        return f"{title} holds no anomaly; raise its number per image in params.yaml"
    nearest = min(indices, key=lambda other: abs(other - index))
    return (
        f"{title} holds no anomaly {index}, the nearest is {nearest}: its {len(indices)} anomalies "
        f"are among {min(indices)} to {max(indices)}, numbers that found no place are left out"
    )
