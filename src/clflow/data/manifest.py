"""From a folder of images to the manifest of a category, or to one error with all problems."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from clflow.data.assessment import PrepareSettings, assess
from clflow.data.inspection import Finding, Inspection, inspect_category
from clflow.data.records import ANY, TEST, TRAIN, Manifest, Record
from clflow.errors import DataError
from clflow.files import digest_of

_PROBLEMS_SHOWN = 10


@dataclass(frozen=True)
class Prepared:
    """A manifest, and notes on what is allowed but worth a look."""

    manifest: Manifest
    notes: tuple[str, ...]


def build_manifest(
    root: Path,
    category: str,
    layout: str,
    settings: PrepareSettings,
    base: Path | None = None,
) -> Prepared:
    """Read the images of a category below `root` and split them.

    Paths in the manifest are relative to `base`, the study root; without it, to `root`.

    Raises:
        SettingsError: no such layout or category.
        DataError: what would spoil a study, all of it in one message.
    """
    inspection = inspect_category(root, category, layout)
    splits = draw_splits(inspection, settings)
    assessment = assess(inspection, splits, settings)
    if assessment.problems:
        raise DataError(_summary(category, assessment.problems))
    folder = root if base is None else base
    records = tuple(_record(finding, splits, folder) for finding in inspection.findings)
    return Prepared(Manifest(category, records), assessment.notes)


def draw_splits(inspection: Inspection, settings: PrepareSettings) -> dict[str, str]:
    """Return the split of each good image outside the test folders, by its SHA-256.

    Copies of an image share a split. The draw depends on the seed, the category and the contents
    only: renaming or moving files does not change it, and adding a file hardly does.
    """
    free = _contents(inspection.select(label=0, part=ANY))
    tested = draw_contents(
        free, round(settings.test_fraction * len(free)), inspection.category, settings
    )
    good = _contents(inspection.select(label=0, part=TRAIN)) | (free - tested)
    size = max(settings.validation_minimum, round(settings.validation_fraction * len(good)))
    held_out = draw_contents(good, size, inspection.category, settings)
    return (
        dict.fromkeys(tested, "test")
        | dict.fromkeys(held_out, "validation")
        | dict.fromkeys(good - held_out, "train")
    )


def _contents(findings: Iterable[Finding]) -> set[str]:
    return {finding.sha256 for finding in findings}


def draw_contents(
    contents: set[str], size: int, category: str, settings: PrepareSettings
) -> set[str]:
    """Return `size` of the images with these SHA-256, drawn by seed, category and content."""

    # Ranking by a keyed hash is a uniform draw that no release of a generator can change.
    def rank(content: str) -> str:
        return digest_of([settings.seed, category, content])

    return set(sorted(contents, key=rank)[:size])


def _summary(category: str, problems: tuple[str, ...]) -> str:
    shown = [f"  - {problem}" for problem in problems[:_PROBLEMS_SHOWN]]
    if (rest := len(problems) - _PROBLEMS_SHOWN) > 0:
        shown.append(f"  - and {rest} more")
    heading = f"category {category!r} cannot be used, {len(problems)} problem(s):"
    return "\n".join([heading, *shown])


def _record(finding: Finding, splits: dict[str, str], folder: Path) -> Record:
    found = finding.found
    return Record(
        path=_below(found.path, folder),
        sha256=finding.sha256,
        width=finding.width,
        height=finding.height,
        label=found.label,
        defect=found.defect,
        mask=None if found.mask is None else _below(found.mask, folder),
        split="test" if found.part == TEST else splits[finding.sha256],
    )


def _below(path: Path, folder: Path) -> str:
    path, folder = path.absolute(), folder.absolute()
    if not path.is_relative_to(folder):
        raise DataError(f"{path} is not below {folder}: move or link the data into the study")
    return path.relative_to(folder).as_posix()
