"""Check a data folder before a study: what is in it, what would spoil results, what is odd."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from clflow.data.assessment import Assessment, PrepareSettings, assess
from clflow.data.inspection import Finding, Inspection, inspect_category
from clflow.data.layouts import VISA_TABLE, detect_layout, find_categories
from clflow.data.manifest import draw_splits
from clflow.data.records import TEST
from clflow.errors import DataError

_COLUMNS = (
    "category",
    "train good",
    "test good",
    "test anomalous",
    "size (w x h)",
    "stored as",
    "masks",
    "unreadable",
)


@dataclass(frozen=True)
class CategoryReport:
    """A category: its files, the split that the default settings give, and the judgement."""

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


def check_folder(root: Path, layout: str | None = None) -> Report:
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
        categories = tuple(_check_category(root, name, layout) for name in names)
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


def _check_category(root: Path, category: str, layout: str) -> CategoryReport:
    settings = PrepareSettings()
    inspection = inspect_category(root, category, layout)
    splits = draw_splits(inspection, settings)
    return CategoryReport(inspection, splits, assess(inspection, splits, settings))


def render(report: Report, console: Console) -> None:
    """Print a table with one row per category, then problems, then notes."""
    columns = [Column(name, overflow="fold") for name in _COLUMNS]
    table = Table(*columns, title=f"{escape(str(report.root))}, layout {report.layout}")
    for category in report.categories:
        table.add_row(*map(escape, _row(category)))
    if report.categories:
        console.print(table)
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
    console.print("fit for a study" if report.ok else "mend the errors before a study")


def _print_line(console: Console, level: str, text: str) -> None:
    style = "bold red" if level == "error" else "yellow"
    console.print(f"[{style}]{level}[/]: {escape(text)}", highlight=False, soft_wrap=True)


def _row(category: CategoryReport) -> list[str]:
    inspection = category.inspection
    good = inspection.select(label=0)
    anomalous = inspection.select(label=1)
    tested = [finding for finding in good if _is_tested(finding, category.splits)]
    return [
        inspection.category,
        _good_count(len(good) - len(tested), category.splits),
        str(len(tested)),
        _counts(finding.found.defect for finding in anomalous),
        _sizes([*good, *anomalous]),
        _counts(finding.kind for finding in [*good, *anomalous]),
        _counts(_mask_word(finding) for finding in anomalous),
        str(sum(not finding.readable for finding in inspection.findings)),
    ]


def _is_tested(finding: Finding, splits: dict[str, str]) -> bool:
    return finding.found.part == TEST or splits[finding.sha256] == TEST


def _good_count(total: int, splits: dict[str, str]) -> str:
    held_out = sum(split == "validation" for split in splits.values())
    return f"{total} ({held_out} held out)"


def _counts(names: Iterable[str]) -> str:
    counts = Counter(names)
    lines = [f"{count} {name}" for name, count in sorted(counts.items())]
    if len(lines) > 1:
        lines.insert(0, f"{counts.total()}:")
    return "\n".join(lines) or "0"


def _sizes(findings: list[Finding]) -> str:
    sizes = sorted({(finding.width, finding.height) for finding in findings})
    if len(sizes) <= 1:
        return "".join(f"{width} x {height}" for width, height in sizes)
    widths, heights = zip(*sizes, strict=True)
    return f"{min(widths)}-{max(widths)} x {min(heights)}-{max(heights)}"


def _mask_word(finding: Finding) -> str:
    return "missing" if finding.mask_state == "none" else finding.mask_state
