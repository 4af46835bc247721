"""The summary as LaTeX tables for a paper; they need the packages booktabs and graphicx.

A table of many columns is continued below and in further ones, and one still wider than the text is
scaled down to it.
"""

import re
from collections.abc import Sequence
from itertools import takewhile

from clflow.report import decisions
from clflow.report.evidence import MARK, Diagnosis, Report, interval_cells
from clflow.report.remarks import LEAD, BesideTable, beside_tables, remarks
from clflow.report.summary import Cell, Summary, oriented, rows_of, summarize

# in characters; what is wider would be scaled down to less than 7 points on a page of 12 cm
_WIDEST = 110
_SPACE = 2
# in lines: a float must be lower than a page, but LaTeX gives up on a hundred of them in a row
_TALLEST = 36
_FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}"
_LABELS = ("Category", "Method", "Published", "Value")

_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "≤": r"$\leq$",
        "±": r"$\pm$",
        "α": r"$\alpha$",
        "†": r"$^\dagger$",
        "‡": r"$^\ddagger$",
        "×": r"$\times$",
        "→": r"$\to$",
        "–": "--",
        "−": "$-$",
        # At the start of a row these would be arguments of the \\ before it.
        "[": "{[}",
        "]": "{]}",
        "*": "{*}",
        **{character: rf"\{character}" for character in "&%$#_{}"},
    }
)


def escape(text: str) -> str:
    """Return `text` so that LaTeX sets it as it reads."""
    return text.translate(_SPECIAL)


def render_latex(report: Report) -> str:
    """Return a table per metric, then intervals, decisions, false alarms and published values."""
    tables = [_metric(report, summarize(report.results, m)) for m in report.settings.metrics]
    return "\n".join(
        [
            "% Needs \\usepackage{booktabs} and \\usepackage{graphicx}.\n",
            *tables,
            _intervals(report),
            _decisions(report),
            _alarms(report),
            *_published(report),
        ]
    )


def diagnosis_text(diagnosis: Diagnosis, study: str) -> str:
    """Return a table environment, and what is to know about it."""
    body = [[escape(cell) for cell in row] for row in diagnosis.cells.itertuples(index=False)]
    caption = f"{diagnosis.title}. {diagnosis.lead}"
    label, columns = label_of(study, diagnosis.name), list(diagnosis.cells.columns)
    text = environment(caption, label, columns, body, last_apart=False)
    return "\n".join([text, *([items(diagnosis.notes)] if diagnosis.notes else [])])


def _metric(report: Report, summary: Summary) -> str:
    rows = rows_of(summary, report.settings.digits, report.marks)
    cells = [cell for row in rows for cell in row.cells]
    caption = _caption(report, summary.metric.title, cells)
    texts = [[_cell(cell) for cell in row.cells] for row in rows]
    return _oriented(summary, texts, caption, label_of(report.study, summary.metric.name))


def _intervals(report: Report) -> str:
    summary, cells = interval_cells(report)
    texts = [[escape(text) for text in row] for row in cells]
    caption = (
        f"{report.interval_title}, on {report.dataset}: percentile bootstrap over test images, "
        "mean over seeds."
    )
    return _oriented(summary, texts, caption, label_of(report.study, "intervals"))


def _decisions(report: Report) -> str:
    body = [
        [escape(label), escape(method), *map(_cell, cells)]
        for label, method, cells in decisions.decision_rows(report)
    ]
    caption = f"{decisions.TITLE} on {report.dataset}. {decisions.LEAD}"
    label = label_of(report.study, "decisions")
    return _low(caption, label, decisions.decision_columns(), body)


def _alarms(report: Report) -> str:
    table = decisions.alarm_table(report)
    body = [[escape(cell) for cell in row] for row in table.itertuples(index=False)]
    caption = f"{decisions.ALARMS_TITLE} on {report.dataset}. {decisions.ALARMS_LEAD}"
    label = label_of(report.study, "false-alarms")
    return _low(caption, label, list(table.columns), body)


def _low(caption: str, label: str, columns: Sequence[str], body: list[list[str]]) -> str:
    """Return a table of categories and methods, of the means alone where a page is too low."""
    if len(body) > _TALLEST:
        body = [row for row in body if row[0] == "mean"]
        caption += " Means over categories; intervals.csv has each."
    return environment(caption, label, columns, body, last_apart=False)


def _oriented(summary: Summary, cells: Sequence[Sequence[str]], caption: str, label: str) -> str:
    table = oriented(summary, cells)
    body = [[escape(name), *texts] for name, *texts in table.rows]
    return environment(caption, label, table.columns, body, last_apart=table.mean_last)


def _published(report: Report) -> list[str]:
    tables = beside_tables(report)
    return [
        *(_beside(report, table) for table in tables),
        *([items(remarks(report))] if tables else []),
    ]


def _beside(report: Report, table: BesideTable) -> str:
    caption = f"{table.title} on {report.dataset} beside published values. {LEAD}"
    body = [[escape(text) for text in row] for row in table.rows]
    label = label_of(report.study, f"published-{table.metric}")
    return environment(caption, label, table.columns, body, last_apart=False)


def items(lines: Sequence[str]) -> str:
    """Return a list of texts; the names in them may break at the end of a line."""
    texts = (re.sub(r"(\\_|/)", r"\1\\allowbreak{}", escape(line)) for line in lines)
    body = "\n".join(rf"\item {text}" for text in texts)
    return f"\\begin{{itemize}}\n\\sloppy\n{body}\n\\end{{itemize}}\n"


def environment(
    caption: str,
    label: str,
    columns: Sequence[str],
    body: Sequence[list[str]],
    *,
    last_apart: bool = True,
) -> str:
    """Return a table environment; cells of `body` are LaTeX, all else is text to escape.

    A rule sets the last row, the mean, apart if asked to. Columns that find no room stand below,
    with the leading ones that say what a row is, and in further environments.
    """
    rows = [[escape(column) for column in columns], *body]
    parts = [[[row[i] for i in part] for row in rows] for part in _parts(columns, rows)]
    tabulars = [_tabular(part, last_apart=last_apart) for part in parts]
    count = max(1, _TALLEST // (len(rows) + 1))
    floats = [tabulars[start : start + count] for start in range(0, len(tabulars), count)]
    captions = [escape(caption), *[rf"Table~\ref{{{label}}}, continued."] * (len(floats) - 1)]
    labels = [label, *(f"{label}-{number}" for number in range(2, len(floats) + 1))]
    return "\n".join(map(_float, captions, labels, floats))


def _float(caption: str, label: str, tabulars: Sequence[str]) -> str:
    lines = [
        r"\begin{table}[htbp]",
        r"\centering",
        rf"\caption{{{caption}}}",
        rf"\label{{{label}}}",
        "\n\\par\\medskip\n".join(tabulars),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _tabular(rows: Sequence[list[str]], *, last_apart: bool) -> str:
    header, *body = map(_line, rows)
    lines = [
        rf"{_FIT}{{\begin{{tabular}}{{l{'c' * (len(rows[0]) - 1)}}}",
        r"\toprule",
        header,
        r"\midrule",
        *([*body[:-1], r"\midrule", body[-1]] if last_apart else body),
        r"\bottomrule",
        r"\end{tabular}}",
    ]
    return "\n".join(lines)


def _parts(columns: Sequence[str], rows: Sequence[list[str]]) -> list[list[int]]:
    """Return the columns of each table by index: the leading ones, and what finds room beside."""
    widths = [_SPACE + max(map(_length, column)) for column in zip(*rows, strict=True)]
    leading = list(range(len(list(takewhile(_LABELS.__contains__, columns)))))
    room = _WIDEST - sum(widths[: len(leading)])
    filled = _filled(widths, len(leading), room)
    share = -(-(len(widths) - len(leading)) // len(filled))
    # as many tables as needed, of as many columns each where these find room
    even = _filled(widths, len(leading), room, share)
    return [[*leading, *part] for part in (even if len(even) == len(filled) else filled)]


def _filled(widths: list[int], start: int, room: int, most: int | None = None) -> list[list[int]]:
    """Return columns by index from `start` on, in parts no wider than `room`, of `most` columns."""
    parts: list[list[int]] = [[]]
    for index in range(start, len(widths)):
        last = parts[-1]
        wide = sum(widths[i] for i in [*last, index]) > room
        if last and (wide or len(last) == most):
            parts.append([])
        parts[-1].append(index)
    return parts


def _length(cell: str) -> int:
    """Return about how many characters are set: a command counts as one."""
    return len(re.findall(r"\\[A-Za-z]+|\\.|[^\\{}$]", cell))


def _caption(report: Report, title: str, cells: Sequence[Cell]) -> str:
    seeds = ", ".join(map(str, report.seeds))
    start = f"{title} on {report.dataset}"
    if len(report.seeds) == 1:
        text = f"{start}, seed {seeds}."
    else:
        text = f"{start}: mean ± sample standard deviation over seeds {seeds}."
    if any(cell.best for cell in cells):
        text += (
            " Bold and underlined: best and runner-up where they differ significantly "
            f"(α = {report.settings.significance:g}, adjusted by Holm)."
        )
    return text + (f" {MARK} failed or degenerate run." if any(c.flagged for c in cells) else "")


def label_of(study: str, metric: str) -> str:
    """Return what a table is referred to by."""
    return "tab:" + re.sub(r"[^A-Za-z0-9]+", "-", f"{study}-{metric}")


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    if cell.best:
        text = rf"\textbf{{{text}}}"
    if cell.second:
        text = rf"\underline{{{text}}}"
    return text + (escape(MARK) if cell.flagged else "")


def _line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"
