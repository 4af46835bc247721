"""The summary as LaTeX tables for a paper; they need the booktabs package."""

import re
from collections.abc import Sequence

from clflow.tables.flags import MARK
from clflow.tables.report import Report, interval_cells
from clflow.tables.summary import Cell, Summary, rows_of, summarize

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
        "–": "--",
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
    """Return one table environment per metric of the settings, and one of intervals."""
    tables = [_metric(report, summarize(report.results, m)) for m in report.settings.metrics]
    return "\n".join(["% Needs \\usepackage{booktabs}.\n", *tables, _intervals(report)])


def _metric(report: Report, summary: Summary) -> str:
    rows = rows_of(summary, report.settings.digits, report.marks)
    cells = [cell for row in rows for cell in row.cells]
    caption = _caption(report, summary.metric.title, cells)
    body = [[escape(row.label), *map(_cell, row.cells)] for row in rows]
    return _table(caption, _label(report.study, summary.metric.name), summary.methods, body)


def _intervals(report: Report) -> str:
    summary, cells = interval_cells(report)
    labels = [*summary.categories, summary.mean_label]
    body = [[escape(t) for t in (label, *row)] for label, row in zip(labels, cells, strict=True)]
    caption = (
        f"{report.interval_title}, on {report.dataset}: percentile bootstrap over test images, "
        "mean over seeds."
    )
    return _table(caption, _label(report.study, "intervals"), summary.methods, body)


def _table(caption: str, label: str, methods: Sequence[str], body: list[list[str]]) -> str:
    lines = [
        r"\begin{table}[htbp]",
        r"\centering",
        rf"\caption{{{escape(caption)}}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{l{'c' * len(methods)}}}",
        r"\toprule",
        _line(["Category", *map(escape, methods)]),
        r"\midrule",
        *map(_line, body[:-1]),
        r"\midrule",
        _line(body[-1]),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


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


def _label(study: str, metric: str) -> str:
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
