"""The mean table on a terminal."""

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clflow.errors import DataError
from clflow.paths import overlays_folder
from clflow.study.settings import StudySettings
from clflow.tables.comparisons import load_comparisons
from clflow.tables.evidence import marks_of
from clflow.tables.marks import NO_MARKS, Marks
from clflow.tables.results import load_results
from clflow.tables.settings import TabulateSettings
from clflow.tables.summary import Cell, rows_of, summarize
from clflow.tables.write import COMPARISONS, RESULTS, TABLE_FILES

_DEFAULTS = TabulateSettings()


def print_summary(
    console: Console,
    study: str,
    results: pd.DataFrame,
    marks: Marks = NO_MARKS,
    settings: TabulateSettings = _DEFAULTS,
) -> None:
    """Print one row per metric of a tidy table: the mean over categories of each method.

    As in the summary, the best is bold and the runner-up underlined where a test tells them apart.
    """
    summaries = [summarize(results, name) for name in settings.metrics]
    table = Table(title=Text(f"{study}: means over categories"))
    table.add_column("Metric")
    table.add_column("Mean of")
    for method in summaries[0].methods:
        table.add_column(Text(method), justify="right")
    for summary in summaries:
        row = rows_of(summary, settings.digits, marks)[-1]
        cells = [Text(cell.text, style=_style(cell)) for cell in row.cells]
        table.add_row(summary.metric.title, row.label.removeprefix("mean of "), *cells)
    console.print(table)


def print_results(
    console: Console, study: StudySettings, tables: Path, settings: TabulateSettings = _DEFAULTS
) -> None:
    """Print the mean table of a finished study, and where its tables and pictures are.

    Raises:
        DataError: there are no tables, or they are of another study.
    """
    path = tables / RESULTS
    results = load_results(path)
    for column, expected in (
        ("dataset", (study.dataset,)),
        ("category", study.categories),
        ("method", study.methods),
        ("seed", study.seeds),
    ):
        if tuple(results[column].unique()) != expected:
            raise DataError(f"{path} is not of the study {study.name!r}; run `dvc repro`")
    marks = marks_of(load_comparisons(tables / COMPARISONS))
    print_summary(console, study.name, results, marks, settings)
    places = [str(tables / name) for name in TABLE_FILES]
    pictures = overlays_folder(study.name, "<method>", "<category>")
    console.print(Text(f"tables: {', '.join(places)}\npictures: {pictures}"), soft_wrap=True)


def _style(cell: Cell) -> str:
    return "bold" if cell.best else "underline" if cell.second else ""
