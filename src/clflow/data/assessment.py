"""What an inspected category means for a study: problems that spoil it, notes worth a look."""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from clflow.data.accounting import Unread
from clflow.data.depth import find_depth
from clflow.data.duplicates import near_duplicates
from clflow.data.inspection import Finding, Inspection
from clflow.data.names import GOOD_NAMES, may_be_good
from clflow.data.preparation import PrepareSettings
from clflow.data.records import TEST
from clflow.data.stray import stray_masks

Item = TypeVar("Item")

_NAMES_SHOWN = 5


@dataclass(frozen=True)
class Assessment:
    """One line per finding: `problems` would spoil a study, `notes` are allowed.

    `white` is the value of 16-bit and float images that is white, None for the usual one.
    """

    problems: tuple[str, ...]
    notes: tuple[str, ...]
    white: float | None = None


def assess(
    inspection: Inspection, splits: Mapping[str, str], settings: PrepareSettings
) -> Assessment:
    """Judge a category whose good images outside the test folders have `splits`, by SHA-256."""
    tested = [_tested(inspection, splits, label) for label in (0, 1)]
    depth = find_depth(inspection.findings, settings)
    problems = [
        *_constant(inspection)[0],
        *inspection.ignoring.problems,
        *_training_problems(splits, settings),
        *_test_problems(tested),
        *_name_problems(inspection),
        *(finding.problem for finding in inspection.findings if finding.problem),
        *_leaks(inspection),
        *stray_masks(inspection),
        *_masks_beside(inspection),
        *_colour_problems(inspection),
        *depth.problems,
        *(_unread_line(unread) for unread in inspection.unread if unread.spoils),
    ]
    notes = [
        *inspection.ignoring.notes,
        *_test_notes(tested),
        *_mask_notes(inspection),
        *_reading_notes(inspection),
        *_header_notes(inspection, settings),
        *depth.notes,
        *_duplicate_notes(inspection),
        *([] if depth.problems else _near_notes(inspection, splits, depth.white)),
        *_contradiction_notes(inspection),
        *_constant(inspection)[1],
        *_kind_notes(inspection),
        *(_unread_line(unread) for unread in inspection.unread if not unread.spoils),
    ]
    return Assessment(tuple(problems), tuple(notes), depth.white)


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
    return sum(is_tested(finding, splits) for finding in inspection.select(label=label))


def is_tested(finding: Finding, splits: Mapping[str, str]) -> bool:
    """Return whether a readable image is one of the test images."""
    return finding.found.part == TEST or splits[finding.sha256] == TEST


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


def _name_problems(inspection: Inspection) -> list[str]:
    names = sorted({finding.found.defect for finding in inspection.findings})
    return [
        f"is {name!r} the name of a defect? It would count as one: name good images "
        f"{', '.join(sorted(GOOD_NAMES))} (in any case), or give the defect another name"
        for name in names
        if may_be_good(name)
    ]


def _leaks(inspection: Inspection) -> list[str]:
    training: dict[str, Finding] = {}
    for finding in inspection.select():
        if finding.found.part != TEST:
            training.setdefault(_pixels(finding), finding)
    return [
        f"test image {finding.name} is identical to training image {original.name}"
        f"{'' if finding.sha256 == original.sha256 else ' in every pixel, saved anew'}: "
        "remove one of them"
        for finding in inspection.select(part=TEST)
        if (original := training.get(_pixels(finding)))
    ]


def _pixels(finding: Finding) -> str:
    return finding.look.digest if finding.look else finding.sha256


def _masks_beside(inspection: Inspection) -> list[str]:
    pairs = _repeated(
        (finding.found.path.with_name(finding.found.path.stem.removesuffix("_mask")), finding.name)
        for finding in inspection.select(label=1)
    )
    return [
        f"{' and '.join(names)} look like an image and its mask: "
        "move masks to ground_truth/<defect>/, or give images different names"
        for names in pairs
    ]


def _colour_problems(inspection: Inspection) -> list[str]:
    pairs = {
        finding.mask.colours: finding.name
        for finding in inspection.select(label=1)
        if finding.mask and finding.mask.colours
    }
    return [
        f"the masks of {name} and {pairs[drawn, background]} have the same two colours, but the "
        "rarer one is another: make the background of all masks black"
        for (background, drawn), name in pairs.items()
        if (drawn, background) in pairs and background < drawn
    ]


def _constant(inspection: Inspection) -> tuple[list[str], list[str]]:
    """Return problems and notes about images that are one colour all over."""
    images = inspection.select()
    blank = [one.name for one in images if one.look and one.look.values == 1]
    if not blank:
        return [], []
    line = f"{len(blank)} of {len(images)} images have one colour all over: {_listing(blank)}"
    if 2 * len(blank) >= len(images):
        return [f"{line}; nothing can be learnt from them, give pictures of parts"], []
    return [], [f"{line}; they may be empty frames"]


def _unread_line(unread: Unread) -> str:
    count, names = len(unread.names), _listing(unread.names)
    if not unread.reason:
        return f"{count} entries are not read: {names}"
    return f"{count} files are not read, {unread.reason}: {names}"


def _reading_notes(inspection: Inspection) -> list[str]:
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for finding in inspection.select(label=1):
        if finding.mask:
            groups[finding.mask.how].append(finding.name)
    return [
        f"{len(groups[how])} masks {what}: {_listing(groups[how])}"
        for how, what in _HOW.items()
        if groups[how]
    ]


_HOW = {
    "threshold": "have more than two values, pixels from half brightness on are the defect",
    "classes": "have several areas of one value each, all that are not background are the defect",
    "colours": "have two colours and no black, the rarer colour is the defect",
}


def _header_notes(inspection: Inspection, settings: PrepareSettings) -> list[str]:
    looks = [(one.name, one.look) for one in inspection.select() if one.look]
    tagged = [name for name, look in looks if look.orientation != 1]
    paged = [name for name, look in looks if look.pages > 1]
    notes = []
    if tagged and settings.orientation != "refuse":
        what = (
            "are turned by it as viewers show them, and masks are compared with the turned pixels"
            if settings.orientation == "apply"
            else "are not turned (prepare.orientation: ignore), nor are their masks"
        )
        found = sorted({look.orientation for _, look in looks} - {1})
        numbers = ", ".join(map(str, found))
        notes.append(
            f"{len(tagged)} images with an EXIF orientation ({numbers}) {what}: {_listing(tagged)}"
        )
    if paged and settings.pages == "first":
        notes.append(f"the first page is read of {len(paged)} files: {_listing(paged)}")
    return notes


def _near_notes(
    inspection: Inspection, splits: Mapping[str, str], white: float | None
) -> list[str]:
    tested = [one for one in inspection.select() if is_tested(one, splits)]
    training = [one for one in inspection.select(label=0) if not is_tested(one, splits)]
    pairs = near_duplicates(training, tested, white)
    if not pairs:
        return []
    shown = _listing([" ~ ".join(pair) for pair in pairs])
    return [
        f"{len(pairs)} test images are nearly equal to training images, as copies saved anew are: "
        f"{shown}; look at them, and remove copies"
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
