"""The summary as LaTeX tables for a paper; they need the booktabs package."""

import re

import pandas as pd

from clflow.tables.settings import TabulateSettings
from clflow.tables.summary import Cell, Row, Summary, rows_of, summarize

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


def render_latex(
    study: str, dataset: str, results: pd.DataFrame, settings: TabulateSettings
) -> str:
    """Return one table environment per metric of the settings."""
    seeds = list(results["seed"].unique())
    tables = [
        _table(study, dataset, seeds, summarize(results, name), settings.digits)
        for name in settings.metrics
    ]
    return "\n".join(["% Needs \\usepackage{booktabs}.\n", *tables])


def _table(study: str, dataset: str, seeds: list[int], summary: Summary, digits: int) -> str:
    rows = rows_of(summary, digits)
    lines = [
        r"\begin{table}[htbp]",
        r"\centering",
        rf"\caption{{{escape(_caption(dataset, seeds, summary))}}}",
        rf"\label{{{_label(study, summary.metric.name)}}}",
        rf"\begin{{tabular}}{{l{'c' * len(summary.methods)}}}",
        r"\toprule",
        _line(["Category", *map(escape, summary.methods)]),
        r"\midrule",
        *map(_row, rows[:-1]),
        r"\midrule",
        _row(rows[-1]),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _caption(dataset: str, seeds: list[int], summary: Summary) -> str:
    start = f"{summary.metric.title} on {dataset}"
    if len(seeds) == 1:
        return f"{start}, seed {seeds[0]}."
    listed = ", ".join(map(str, seeds))
    return f"{start}: mean ± sample standard deviation over seeds {listed}."


def _label(study: str, metric: str) -> str:
    return "tab:" + re.sub(r"[^A-Za-z0-9]+", "-", f"{study}-{metric}")


def _row(row: Row) -> str:
    return _line([escape(row.label), *map(_cell, row.cells)])


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    return rf"\textbf{{{text}}}" if cell.best else text


def _line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"
