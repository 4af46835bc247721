"""What an inspected category means for a study: problems that spoil it, notes worth a look."""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from clflow.data.inspection import Inspection
from clflow.data.records import TEST


class PrepareSettings(BaseModel):
    """How the images of a category are split.

    `validation_fraction` of the good training images, at least `validation_minimum`, is held out;
    at least `training_minimum` must remain. `test_fraction` of the good images becomes test images
    where a folder has no test split of its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(default=0, ge=0)
    validation_fraction: float = Field(default=0.1, ge=0, lt=1)
    validation_minimum: int = Field(default=8, ge=1)
    training_minimum: int = Field(default=8, ge=1)
    test_fraction: float = Field(default=0.2, ge=0, lt=1)


Item = TypeVar("Item")

_NAMES_SHOWN = 5


@dataclass(frozen=True)
class Assessment:
    """One line per finding: `problems` would spoil a study, `notes` are allowed."""

    problems: tuple[str, ...]
    notes: tuple[str, ...]


def assess(
    inspection: Inspection, splits: Mapping[str, str], settings: PrepareSettings
) -> Assessment:
    """Judge a category whose good images outside the test folders have `splits`, by SHA-256."""
    tested = [_tested(inspection, splits, label) for label in (0, 1)]
    problems = [
        *_training_problems(splits, settings),
        *_test_problems(tested),
        *(finding.problem for finding in inspection.findings if finding.problem),
        *_leaks(inspection),
        *_stray_masks(inspection),
    ]
    notes = [
        *_test_notes(tested),
        *_mask_notes(inspection),
        *_duplicate_notes(inspection),
        *_contradiction_notes(inspection),
        *_kind_notes(inspection),
        *_ignored_notes(inspection),
    ]
    return Assessment(tuple(problems), tuple(notes))


def _listing(names: Collection[str]) -> str:
    shown = ", ".join(sorted(names)[:_NAMES_SHOWN])
    rest = len(names) - _NAMES_SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown


def _repeated(pairs: Iterable[tuple[Hashable, Item]]) -> list[list[Item]]:
    groups: defaultdict[Hashable, list[Item]] = defaultdict(list)
    for key, item in pairs:
        groups[key].append(item)
    return [group for group in groups.values() if len(group) > 1]


def _tested(inspection: Inspection, splits: Mapping[str, str], label: int) -> int:
    return sum(
        finding.found.part == TEST or splits[finding.sha256] == TEST
        for finding in inspection.select(label=label)
    )


def _training_problems(splits: Mapping[str, str], settings: PrepareSettings) -> list[str]:
    sizes = {split: list(splits.values()).count(split) for split in ("train", "validation")}
    good = sum(sizes.values())
    if good == 0:
        return ["there is no good training image: add some, or choose another layout"]
    if sizes["train"] >= settings.training_minimum:
        return []
    return [
        f"only {good} different good images to train on: at least "
        f"{settings.validation_minimum} are held out (validation_minimum; validation_fraction "
        f"{settings.validation_fraction:g}) and {settings.training_minimum} must remain "
        "(training_minimum); add images or lower these settings"
    ]


def _test_problems(tested: list[int]) -> list[str]:
    if any(tested):
        return []
    return ["there is no test image: add good and defective ones, or choose another layout"]


def _leaks(inspection: Inspection) -> list[str]:
    training = {
        finding.sha256: finding.name
        for finding in inspection.select()
        if finding.found.part != TEST
    }
    return [
        f"test image {finding.name} is identical to training image {training[finding.sha256]}: "
        "remove one of them"
        for finding in inspection.select(part=TEST)
        if finding.sha256 in training
    ]


def _stray_masks(inspection: Inspection) -> list[str]:
    pairs = _repeated(
        (finding.found.path.with_name(finding.found.path.stem.removesuffix("_mask")), finding.name)
        for finding in inspection.select(label=1)
    )
    return [
        f"{' and '.join(names)} look like an image and its mask: "
        "move masks to ground_truth/<defect>/, or give images different names"
        for names in pairs
    ]


def _test_notes(tested: list[int]) -> list[str]:
    return [
        f"there is no {kind} test image: image AUROC is not defined"
        for kind, count in zip(("good", "anomalous"), tested, strict=True)
        if count == 0
    ]


def _mask_notes(inspection: Inspection) -> list[str]:
    anomalous = inspection.select(label=1)
    missing = [finding.name for finding in anomalous if finding.mask_state == "none"]
    empty = [finding.name for finding in anomalous if finding.mask_state == "empty"]
    notes = []
    if missing:
        notes.append(
            f"{len(missing)} of {len(anomalous)} anomalous images have no mask: {_listing(missing)}"
        )
    if empty:
        notes.append(f"{len(empty)} masks of anomalous images are empty: {_listing(empty)}")
    return notes


def _duplicate_notes(inspection: Inspection) -> list[str]:
    groups = _repeated(
        ((finding.sha256, finding.found.part, finding.found.label), finding.name)
        for finding in inspection.select()
    )
    if not groups:
        return []
    shown = _listing([" = ".join(group) for group in groups])
    return [f"{len(groups)} images occur more than once with the same content: {shown}"]


def _contradiction_notes(inspection: Inspection) -> list[str]:
    good = {finding.sha256: finding.name for finding in inspection.select(label=0, part=TEST)}
    return [
        f"the same content is labelled good ({good[finding.sha256]}) and "
        f"{finding.found.defect} ({finding.name}): one label is wrong"
        for finding in inspection.select(label=1)
        if finding.sha256 in good
    ]


def _kind_notes(inspection: Inspection) -> list[str]:
    good, anomalous = (
        {finding.kind for finding in inspection.select(label=label)} for label in (0, 1)
    )
    if not good or anomalous <= good:
        return []
    return [
        f"anomalous images are stored otherwise ({', '.join(sorted(anomalous))}) than good ones "
        f"({', '.join(sorted(good))}): a detector may learn the storage instead of the defect"
    ]


def _ignored_notes(inspection: Inspection) -> list[str]:
    if not inspection.ignored:
        return []
    return [f"{len(inspection.ignored)} entries are not read: {_listing(inspection.ignored)}"]
