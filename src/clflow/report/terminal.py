"""The mean table on a terminal, and the tables of cost and selection bias where there are any."""

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clflow.errors import DataError
from clflow.report.diagnosis import Places, places_of, read_diagnoses
from clflow.report.evidence import MARK, Diagnosis, marks_of
from clflow.report.results import failed_runs, load_results
from clflow.report.settings import TabulateSettings
from clflow.report.summary import NO_MARKS, Cell, Marks, rows_of, summarize
from clflow.report.tests import load_comparisons
from clflow.study.paths import COMPARISONS, RESULTS, TABLE_FILES, StudyPaths
from clflow.study.settings import StudySettings

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
    console: Console,
    study: StudySettings,
    tables: Path,
    settings: TabulateSettings = _DEFAULTS,
    places: Places | None = None,
) -> None:
    """Print the mean table of a finished study, and where its tables and pictures are.

    `places` is where its cost and selection bias are, if these were measured.

    Raises:
        DataError: there are no tables, they are of another study, or a file is malformed.
    """
    path = tables / RESULTS
    results = load_results(path)
    for column, expected in (
        ("dataset", (study.dataset,)),
        ("category", study.category_names),
        ("method", study.methods),
        ("seed", study.seeds),
    ):
        if tuple(results[column].unique()) != expected:
            raise DataError(f"{path} is not of the study {study.name!r}; run `dvc repro`")
    marks = marks_of(load_comparisons(tables / COMPARISONS))
    print_summary(console, study.name, results, marks, settings)
    for category, method, seed in failed_runs(results):
        console.print(Text(f"{MARK} {method} on {category}, seed {seed}: no result"))
    found = read_diagnoses(study, places or places_of(study.name), results, settings.digits)
    for diagnosis in found:
        print_diagnosis(console, diagnosis)
    files = [str(tables / name) for name in TABLE_FILES]
    pictures = StudyPaths(study.name).overlays("<method>", "<category>")
    console.print(Text(f"tables: {', '.join(files)}\npictures: {pictures}"), soft_wrap=True)


def print_diagnosis(console: Console, diagnosis: Diagnosis) -> None:
    """Print a table with what is to know about it."""
    table = Table(title=Text(diagnosis.title))
    for column in diagnosis.cells:
        table.add_column(Text(str(column)))
    for row in diagnosis.cells.itertuples(index=False):
        table.add_row(*map(Text, row))
    console.print(table)
    console.print(Text("\n".join([diagnosis.lead, *diagnosis.notes])))


def _style(cell: Cell) -> str:
    return "bold" if cell.best else "underline" if cell.second else ""
