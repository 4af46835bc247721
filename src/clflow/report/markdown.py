"""The summary as Markdown: a table per metric, intervals, differences, the protocol, notes."""

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from clflow.metrics.registry import METRICS, named
from clflow.report import decisions
from clflow.report.evidence import MARK, Diagnosis, Report, interval_cells
from clflow.report.remarks import (
    LEAD,
    TITLE,
    beside_tables,
    count_table,
    evidence_lines,
    notes,
    protocol_lines,
)
from clflow.report.remarks import remarks as published_remarks
from clflow.report.summary import (
    RESAMPLED,
    UNDEFINED,
    Cell,
    Summary,
    oriented,
    p_text,
    rows_of,
    summarize,
)
from clflow.report.tests import BY_CATEGORY, FRIEDMAN, WILCOXON


def category_differences(comparisons: pd.DataFrame, digits: int) -> dict[str, pd.DataFrame]:
    """Return by tested metric a row per category and a column per pair: difference and p-value."""
    rows = comparisons[comparisons["test"].isin(BY_CATEGORY)]
    tables = {
        str(metric): _by_pair(own, "category", "Category", digits)
        for metric, own in rows.groupby("metric", sort=False)
        if own["p"].notna().any()
    }
    return {metric: table for metric, table in tables.items() if table is not None}


def difference_lead(metric: str) -> str:
    """Return what a table of differences on categories shows."""
    test = "DeLong's" if metric == RESAMPLED else "the jackknife's"
    return (
        f"{METRICS[metric].title}, with the p-value of {test} paired test, adjusted by Holm for "
        "all tests of this table"
    )


def metric_differences(comparisons: pd.DataFrame, digits: int) -> pd.DataFrame | None:
    """Return a row per metric and a column per pair, of the tests over categories if defined."""
    rows = comparisons[(comparisons["test"] == WILCOXON) & comparisons["p"].notna()]
    table = _by_pair(rows, "metric", "Metric", digits)
    if table is None:
        return None
    return table.assign(Metric=[METRICS[name].title for name in table["Metric"]])


def remarks(comparisons: pd.DataFrame) -> list[str]:
    """Return why tests over categories were not made, and what Friedman's says where it was."""
    over = comparisons[comparisons["test"].isin([WILCOXON, FRIEDMAN])]
    lines = []
    for test, name in ((WILCOXON, "Wilcoxon"), (FRIEDMAN, "Friedman and Nemenyi")):
        own = over[(over["test"] == test) & over["p"].isna()]
        for note, rows in own.groupby("note", sort=False):
            metrics = ", ".join(METRICS[metric].title for metric in dict.fromkeys(rows["metric"]))
            lines.append(f"{name} over categories, {metrics}: {note}.")
    found = over[(over["test"] == FRIEDMAN) & over["p"].notna()]
    return lines + [
        f"Friedman over {row['n']} categories, {METRICS[row['metric']].title}: {p_text(row['p'])}."
        for row in found.to_dict("records")
    ]


def _by_pair(rows: pd.DataFrame, index: str, title: str, digits: int) -> pd.DataFrame | None:
    if rows.empty:
        return None
    cells: dict[str, dict[str, str]] = {}
    for row in rows.to_dict("records"):
        pair = f"{row['first']} - {row['second']}"
        cells.setdefault(row[index], {})[pair] = _difference(
            row["difference"], row["p_adjusted"], digits
        )
    table = pd.DataFrame.from_dict(cells, orient="index")
    return table.rename_axis(title).reset_index()


def _difference(difference: float, p: float, digits: int) -> str:
    value = UNDEFINED if math.isnan(difference) else f"{difference:+.{digits}f}"
    return value if math.isnan(p) else f"{value} ({p_text(p)})"


_SPECIAL = str.maketrans({character: rf"\{character}" for character in "\\`*|<[]"})


def escape(text: str) -> str:
    """Return `text` so that Markdown shows it as it reads."""
    return text.translate(_SPECIAL)


def render_markdown(report: Report) -> str:
    """Return the whole of summary.md."""
    settings = report.settings
    names = dict.fromkeys((*settings.metrics, *decisions.DECIDED, *named("false_alarms")))
    summaries = {name: summarize(report.results, name) for name in names}
    present = [run for run in report.runs if run.counts]
    blocks = [
        f"# {escape(report.study)}: results on {escape(report.dataset)}",
        "The best is in bold and the runner-up underlined only where a test finds that they "
        f"differ; {MARK} marks a failed or degenerate run. Every value by seed is in "
        "`results.csv`, means and intervals are in `intervals.csv`, tests in `comparisons.csv`.",
        *(_metric(summaries[name], report) for name in settings.metrics),
        _intervals(report),
        *_differences(report),
        f"## {decisions.TITLE}",
        decisions.LEAD,
        table_text(_decisions(report)),
        f"## {decisions.ALARMS_TITLE}",
        decisions.ALARMS_LEAD,
        table_text(decisions.alarm_table(report)),
        *([bullets(broken)] if (broken := decisions.broken_promises(report)) else []),
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


def _decisions(report: Report) -> pd.DataFrame:
    found = decisions.decision_rows(report)
    rows = [[label, method, *map(_cell, cells)] for label, method, cells in found]
    return pd.DataFrame(rows, columns=decisions.decision_columns())


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
