"""From a folder of images to the manifest of a category, or to one error with all problems."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from clflow.data.assessment import assess
from clflow.data.duplicates import canonical_contents
from clflow.data.ignoring import Ignoring
from clflow.data.inspection import Finding, Inspection, inspect_category
from clflow.data.preparation import PrepareSettings
from clflow.data.reading import NONE_IGNORED, SEPARATOR, Ignored, Reading, reading_text
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
    inspection = inspect_category(root, category, layout, settings)
    splits = draw_splits(inspection, settings)
    assessment = assess(inspection, splits, settings)
    if assessment.problems:
        raise DataError(_summary(category, assessment.problems))
    folder = root if base is None else base
    ignored = _ignored(inspection.ignoring, folder)
    records = tuple(
        _record(finding, splits, folder, _reading(finding, assessment.white, settings, ignored))
        for finding in inspection.findings
    )
    return Prepared(Manifest(category, records), assessment.notes)


def draw_splits(inspection: Inspection, settings: PrepareSettings) -> dict[str, str]:
    """Return the split of each good image outside the test folders, by its SHA-256.

    Copies of an image share a split, also those saved anew. The draw depends on the seed, the
    category and the contents only: renaming or moving files does not change it, and adding a file
    hardly does. Pixels that are ignored are no content.
    """
    drawn_from = [one for one in inspection.select(label=0) if one.found.part != TEST]
    same = canonical_contents(drawn_from, by_pixels=inspection.ignoring.region is not None)
    free = {same[content] for content in _contents(inspection.select(label=0, part=ANY))}
    count = round(settings.test_fraction * len(free))
    tested = draw_contents(free, count, inspection.category, settings)
    trained = {same[content] for content in _contents(inspection.select(label=0, part=TRAIN))}
    good = trained | (free - tested)
    size = max(settings.validation_minimum, round(settings.validation_fraction * len(good)))
    held_out = draw_contents(good, size, inspection.category, settings)
    drawn = (
        dict.fromkeys(tested, "test")
        | dict.fromkeys(held_out, "validation")
        | dict.fromkeys(good - held_out, "train")
    )
    return {content: drawn[original] for content, original in same.items()}


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


def _ignored(ignoring: Ignoring, folder: Path) -> Ignored:
    region = ignoring.region
    if region is None:
        return NONE_IGNORED
    if region.ignored is None or ignoring.path is None:
        return Ignored(region.border)
    path = _below(ignoring.path, folder)
    if SEPARATOR in path:
        raise DataError(f"the path of the mask {path} has a comma: rename its folders")
    return Ignored(region.border, path, ignoring.sha256)


def _reading(
    finding: Finding, white: float | None, settings: PrepareSettings, ignored: Ignored
) -> str:
    """Return how an image is read, nothing where a setting makes no difference to it."""
    look = finding.look
    deep, tagged = (look.depth != "8-bit", look.orientation != 1) if look else (False, False)
    masked = finding.found.mask is not None
    reading = Reading(
        white if deep else None,
        upright=settings.orientation != "ignore" or not (tagged or masked),
        mask=settings.mask if masked else "auto",
    )
    return reading_text(reading, ignored)


def _record(finding: Finding, splits: dict[str, str], folder: Path, reading: str) -> Record:
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
        reading=reading,
    )


def _below(path: Path, folder: Path) -> str:
    path, folder = path.absolute(), folder.absolute()
    if not path.is_relative_to(folder):
        raise DataError(f"{path} is not below {folder}: move or link the data into the study")
    return path.relative_to(folder).as_posix()
