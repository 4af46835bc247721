"""The mean table on a terminal."""

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clflow.tables.settings import TabulateSettings
from clflow.tables.summary import rows_of, summarize


def print_summary(
    console: Console, study: str, results: pd.DataFrame, settings: TabulateSettings
) -> None:
    """Print one row per metric of a tidy table: the mean over categories of each method."""
    summaries = [summarize(results, name) for name in settings.metrics]
    table = Table(title=Text(f"{study}: means over categories"))
    table.add_column("Metric")
    table.add_column("Of")
    for method in summaries[0].methods:
        table.add_column(Text(method), justify="right")
    for summary in summaries:
        row = rows_of(summary, settings.digits)[-1]
        cells = [Text(cell.text, style="bold" if cell.best else "") for cell in row.cells]
        table.add_row(summary.metric.title, row.label.removeprefix("mean of "), *cells)
    console.print(table)
