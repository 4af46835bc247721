"""Check a data folder before a study: what is in it, what would spoil results, what is odd."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from clflow.data.assessment import Assessment, assess, is_tested
from clflow.data.inspection import Finding, Inspection, inspect_category
from clflow.data.layouts import VISA_TABLE, detect_layout, find_categories
from clflow.data.manifest import draw_splits
from clflow.data.preparation import PrepareSettings
from clflow.errors import DataError

DEFAULTS = PrepareSettings()


@dataclass(frozen=True)
class CategoryReport:
    """A category: its files, the split that the settings give, and the judgement."""

    inspection: Inspection
    splits: dict[str, str]
    assessment: Assessment


@dataclass(frozen=True)
class Report:
    """A data folder; `problems` and `notes` are those of the folder itself, not of a category."""

    root: Path
    layout: str
    categories: tuple[CategoryReport, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found that would spoil a study."""
        return not self.problems and not any(
            category.assessment.problems for category in self.categories
        )


def check_folder(
    root: Path, layout: str | None = None, settings: PrepareSettings = DEFAULTS
) -> Report:
    """Read all images and masks below `root`; without `layout` it is detected.

    Raises:
        SettingsError: no such layout.
        DataError: no such folder.
    """
    if not root.is_dir():
        raise DataError(f"no data folder {root}: give the folder that holds the categories")
    layout = layout or detect_layout(root)
    try:
        names = find_categories(root, layout)
        categories = tuple(_check_category(root, name, layout, settings) for name in names)
    except DataError as error:
        return Report(root, layout, (), problems=(str(error),))
    return Report(root, layout, categories, notes=_unused_folders(root, layout, names))


def _unused_folders(root: Path, layout: str, names: list[str]) -> tuple[str, ...]:
    if not all((root / name).is_dir() for name in names):
        return ()
    folders = {path.name for path in root.iterdir() if path.is_dir() and path.name[0] != "."}
    return tuple(
        f"folder {name} is no category of the layout {layout!r} and is not read"
        for name in sorted(folders - {*names, VISA_TABLE.parts[0]})
    )


def _check_category(
    root: Path, category: str, layout: str, settings: PrepareSettings
) -> CategoryReport:
    inspection = inspect_category(root, category, layout, settings)
    splits = draw_splits(inspection, settings)
    return CategoryReport(inspection, splits, assess(inspection, splits, settings))


def render(report: Report, console: Console) -> None:
    """Print a block of lines for each category, then problems, then notes.

    On a terminal long fields are wrapped between their items; elsewhere each is one whole line.
    """
    if report.categories:
        console.print(Text(f"{report.root}, layout {report.layout}"), soft_wrap=True)
    for category in report.categories:
        console.print(Text(f"\n{category.inspection.category}", "bold"), soft_wrap=True)
        _print_fields(console, _fields(category))
    if report.categories:
        console.print()
    for problem in report.problems:
        _print_line(console, "error", problem)
    for note in report.notes:
        _print_line(console, "warning", note)
    for category in report.categories:
        name = category.inspection.category
        for problem in category.assessment.problems:
            _print_line(console, "error", f"{name}: {problem}")
        for note in category.assessment.notes:
            _print_line(console, "warning", f"{name}: {note}")
    verdict = "fit for a study" if report.ok else "mend the errors before a study"
    console.print(verdict, soft_wrap=True)


def _print_fields(console: Console, fields: dict[str, list[str]]) -> None:
    start = max(map(len, fields)) + 4
    room = console.width - start if console.is_terminal else math.inf
    for name, items in fields.items():
        lines = ("\n" + " " * start).join(_lines(items, room))
        console.print(Text(f"  {name}".ljust(start) + lines), soft_wrap=True)


def _lines(items: list[str], room: float) -> list[str]:
    """Join items by commas, in lines of at most `room` columns where no item alone is longer."""
    lines = [items[0]]
    for item in items[1:]:
        if cell_len(f"{lines[-1]}, {item},") <= room:
            lines[-1] += f", {item}"
        else:
            lines[-1] += ","
            lines.append(item)
    return lines


def _print_line(console: Console, level: str, text: str) -> None:
    style = "bold red" if level == "error" else "yellow"
    console.print(f"[{style}]{level}[/]: {escape(text)}", highlight=False, soft_wrap=True)


def _fields(category: CategoryReport) -> dict[str, list[str]]:
    inspection = category.inspection
    good = inspection.select(label=0)
    anomalous = inspection.select(label=1)
    tested = [finding for finding in good if is_tested(finding, category.splits)]
    return {
        "train good": [_good_count(len(good) - len(tested), category.splits)],
        "test good": [str(len(tested))],
        "test anomalous": _counts(finding.found.defect for finding in anomalous),
        "size (w x h)": [_sizes([*good, *anomalous]) or "unknown"],
        "stored as": _counts(finding.kind for finding in [*good, *anomalous]),
        "masks": _counts(_mask_word(finding) for finding in anomalous),
        "unreadable": [str(sum(not finding.readable for finding in inspection.findings))],
    }


def _good_count(total: int, splits: dict[str, str]) -> str:
    held_out = sum(split == "validation" for split in splits.values())
    return f"{total} ({held_out} held out)"


def _counts(names: Iterable[str]) -> list[str]:
    """Return how often each name stands there, after the total where there are several."""
    counts = Counter(names)
    listed = [f"{count} {name}" for name, count in sorted(counts.items())] or ["0"]
    return [f"{counts.total()}: {listed[0]}", *listed[1:]] if len(listed) > 1 else listed


def _sizes(findings: list[Finding]) -> str:
    sizes = sorted({(finding.width, finding.height) for finding in findings})
    if len(sizes) <= 1:
        return "".join(f"{width} x {height}" for width, height in sizes)
    widths, heights = zip(*sizes, strict=True)
    return f"{min(widths)}-{max(widths)} x {min(heights)}-{max(heights)}"


def _mask_word(finding: Finding) -> str:
    return "missing" if finding.mask_state == "none" else finding.mask_state
