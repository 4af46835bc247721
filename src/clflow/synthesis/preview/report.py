"""The report of a bank: a contact sheet to look at, statistics to compare."""

from collections.abc import Sequence
from pathlib import Path

from clflow.data.images import write_png
from clflow.files import atomic_folder, write_text
from clflow.synthesis.preview.sheet import draw_sheet
from clflow.synthesis.preview.statistics import bank_statistics
from clflow.synthesis.rows import BankRow

SHEET, STATISTICS = "sheet.png", "statistics.csv"


def write_report(rows: Sequence[BankRow], root: Path, folder: Path, title: str) -> None:
    """Write sheet.png and statistics.csv of a bank's rows into `folder`, whole or not.

    `root` is the folder that the paths of the rows' images are relative to. No test image is
    read: a report is made before any training.

    Raises:
        DataError: there is no row, or a file is missing or has changed.
    """
    with atomic_folder(folder) as partial:
        write_png(partial / SHEET, draw_sheet(rows, root, title))
        table = bank_statistics(rows, root)
        write_text(
            partial / STATISTICS,
            table.to_csv(index=False, float_format="%.6g", lineterminator="\n"),
        )
