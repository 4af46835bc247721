"""The summary as Markdown: a table per metric, intervals, differences, the protocol, notes."""

from collections.abc import Iterable, Sequence

import pandas as pd

from clflow.tables.beside import LEAD, TITLE, beside_tables
from clflow.tables.beside import remarks as published_remarks
from clflow.tables.differences import (
    category_differences,
    difference_lead,
    metric_differences,
    remarks,
)
from clflow.tables.flags import MARK
from clflow.tables.notes import count_table, evidence_lines, notes, protocol_lines, words
from clflow.tables.orientation import oriented
from clflow.tables.report import Diagnosis, Report, interval_cells
from clflow.tables.summary import Cell, Summary, rows_of, summarize

_DECISIONS = ("image_precision", "image_recall", "image_f1", "image_fpr", "image_f1_max")
_SPECIAL = str.maketrans({character: rf"\{character}" for character in "\\`*|<[]"})


def escape(text: str) -> str:
    """Return `text` so that Markdown shows it as it reads."""
    return text.translate(_SPECIAL)


def render_markdown(report: Report) -> str:
    """Return the whole of summary.md."""
    settings = report.settings
    names = dict.fromkeys((*settings.metrics, *_DECISIONS))
    summaries = {name: summarize(report.results, name) for name in names}
    decisions = [summaries[name] for name in _DECISIONS]
    present = [run for run in report.runs if run.counts]
    blocks = [
        f"# {escape(report.study)}: results on {escape(report.dataset)}",
        "The best is in bold and the runner-up underlined only where a test finds that they "
        f"differ; {MARK} marks a failed or degenerate run. Every value by seed is in "
        "`results.csv`, means and intervals are in `intervals.csv`, tests in `comparisons.csv`.",
        *(_metric(summaries[name], report) for name in settings.metrics),
        _intervals(report),
        *_differences(report),
        "## Decisions at a fixed threshold",
        "Precision, recall, F1 and FPR are at the threshold set from good validation images alone; "
        "F1-max (oracle) is the best F1 of any threshold, chosen with the test labels.",
        table_text(_decisions(decisions, report)),
        *_published(report),
        "## Protocol",
        bullets([*protocol_lines(present, report.seeds), *evidence_lines(report)]),
        table_text(count_table(present)),
        *_section("## Notes", notes(report, list(summaries.values()))),
    ]
    return "\n\n".join(blocks) + "\n"


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """Return a section of summary.md."""
    blocks = [f"## {diagnosis.title}", diagnosis.lead, table_text(diagnosis.cells)]
    return "\n\n".join([*blocks, *([bullets(diagnosis.notes)] if diagnosis.notes else [])]) + "\n"


def _metric(summary: Summary, report: Report) -> str:
    found = rows_of(summary, report.settings.digits, report.marks)
    cells = [[_cell(cell) for cell in row.cells] for row in found]
    return f"## {summary.metric.title}\n\n{_oriented_text(summary, cells)}"


def _intervals(report: Report) -> str:
    summary, cells = interval_cells(report)
    return f"## {report.interval_title}\n\n{_oriented_text(summary, cells)}"


def _oriented_text(summary: Summary, cells: Sequence[Sequence[str]]) -> str:
    table = oriented(summary, cells)
    return table_text(pd.DataFrame(table.rows, columns=table.columns))


def _differences(report: Report) -> list[str]:
    comparisons, digits = report.evidence.comparisons, report.settings.digits
    by_category = category_differences(comparisons, digits)
    if not by_category:
        return []
    by_metric = metric_differences(comparisons, digits)
    over = []
    if by_metric is not None:
        start = "Means over categories, with the p-value of Wilcoxon's test over categories, "
        over = [start + "adjusted by Holm for all pairs:", table_text(by_metric)]
    by_image = [
        block
        for metric, table in by_category.items()
        for block in (f"{difference_lead(metric)}:", table_text(table))
    ]
    return ["## Differences", *by_image, *over, bullets(remarks(comparisons))]


def _published(report: Report) -> list[str]:
    tables = beside_tables(report)
    if not tables:
        return []
    frames = [pd.DataFrame(table.rows, columns=list(table.columns)) for table in tables]
    texts = [
        f"### {table.title}, published\n\n{table_text(frame)}"
        for table, frame in zip(tables, frames, strict=True)
    ]
    return [f"## {TITLE}", LEAD, *texts, bullets(published_remarks(report))]


def _decisions(summaries: Sequence[Summary], report: Report) -> pd.DataFrame:
    columns = [rows_of(s, report.settings.digits, report.marks) for s in summaries]
    titles = [words(summary.metric.title.removeprefix("Image ")) for summary in summaries]
    rows = [
        [label, method, *(_cell(column[i].cells[j]) for column in columns)]
        for i, label in enumerate([*summaries[0].categories, "mean"])
        for j, method in enumerate(summaries[0].methods)
    ]
    return pd.DataFrame(rows, columns=["Category", "Method", *titles])


def _cell(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.best else cell.text
    text = f"<ins>{text}</ins>" if cell.second else text
    return f"{text} {MARK}" if cell.flagged else text


def table_text(table: pd.DataFrame) -> str:
    """Return a table as Markdown; its first column and its header are names to escape."""
    first = table.columns[0]
    escaped = table.assign(**{first: table[first].map(escape)}).rename(columns=escape)
    # Parsed as a number, 0.900 would be printed as 0.9.
    return escaped.to_markdown(index=False, disable_numparse=True)


def bullets(lines: Iterable[str]) -> str:
    """Return a list."""
    return "\n".join(f"- {line}" for line in lines)


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [title, bullets(lines)] if lines else []
