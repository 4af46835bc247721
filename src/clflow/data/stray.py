"""Masks that lie where images are expected: found by what they show, not by their names alone."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from clflow.data.inspection import Finding, Inspection
from clflow.data.records import GOOD

# of the values, nearly all of a mask's are at one of two ends, compression or not
_ENDS = 0.97
# where most good images are so too, two values are no sign of a mask
_COMMON = 0.5
_SHOWN = 5


def stray_masks(inspection: Inspection) -> list[str]:
    """Return a problem for the masks among the images of a category, none where there are none."""
    findings = inspection.select()
    alike = {one.name for one in findings if _looks_like_mask(one)}
    good = [one.name in alike for one in findings if one.found.label == 0]
    if not alike or sum(good) > _COMMON * len(good):
        return []
    partners = _partners(findings, alike)
    whole = _mask_folders(findings, alike)
    stray = sorted(
        one.name
        for one in findings
        if one.name in alike and (one.name in partners or _folder(one) in whole)
    )
    if not stray:
        return []
    shown = ", ".join(stray[:_SHOWN]) + (f" and {len(stray) - _SHOWN} more" * (len(stray) > _SHOWN))
    return [
        f"{len(stray)} images look like masks, of two values each: {shown}; the folder was read as "
        f"{_understood(findings)}; masks belong into {inspection.masks}, named <image> or "
        "<image>_mask: move them there"
    ]


def _looks_like_mask(finding: Finding) -> bool:
    look = finding.look
    return look is not None and (look.values == 2 or (look.values > 2 and look.ends >= _ENDS))


def _folder(finding: Finding) -> str:
    return PurePosixPath(finding.name).parent.as_posix()


def _partners(findings: Sequence[Finding], alike: set[str]) -> set[str]:
    """Return the names of files that look like masks and belong to an image of the same size.

    Belongs: its name is that of the image, or begins with it and goes on with another word.
    """
    images: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
    for one in findings:
        if one.name not in alike:
            images[one.height, one.width].add(_stem(one))
    return {
        one.name
        for one in findings
        if one.name in alike and _begins(_stem(one), images[one.height, one.width])
    }


def _stem(finding: Finding) -> str:
    return finding.found.path.stem.casefold()


def _begins(stem: str, images: set[str]) -> bool:
    ends = [place for place, letter in enumerate(stem) if not letter.isalnum()]
    return any(stem[:end] in images for end in [*ends, len(stem)])


def _mask_folders(findings: Iterable[Finding], alike: set[str]) -> set[str]:
    """Return the folders of which all images look like masks, and that hold several."""
    total, masks = Counter[str](), Counter[str]()
    for one in findings:
        total[_folder(one)] += 1
        masks[_folder(one)] += one.name in alike
    return {folder for folder, count in total.items() if count > 1 and masks[folder] == count}


def _understood(findings: Iterable[Finding]) -> str:
    counts = Counter((_folder(one), one.found.defect) for one in findings)
    parts = [
        f"{folder}/: {count} {'good' if defect == GOOD else f'with the defect {defect!r}'}"
        for (folder, defect), count in sorted(counts.items())
    ]
    return ", ".join(parts)
