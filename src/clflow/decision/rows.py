"""Results as rows of a file: CSV, JSON lines or Parquet, valid whenever the work ends."""

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clflow.errors import DataError, SettingsError, StorageError
from clflow.files import atomic_path, write_text

COLUMNS = (
    "path",
    "score",
    "false_alarm_rate",
    "decision",
    "threshold",
    "promised_rate",
    "regions",
    "remarks",
    "milliseconds",
    "package",
    "error",
)
SUFFIXES = (".csv", ".jsonl", ".parquet")

Row = Mapping[str, Any]


class RowFile:
    """A file that rows are added to; each call leaves it valid on the disk.

    Parquet cannot be added to: its rows wait in a file of JSON lines beside it.

    Args:
        path: ends with .csv, .jsonl or .parquet, which decides the format.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() not in SUFFIXES:
            raise SettingsError(
                f"{path}: results are written as {', '.join(SUFFIXES)}, by the ending of the name"
            )
        self.path = path
        self.kind = path.suffix.lower()
        self.partial = path.with_name(f"{path.name}.rows") if self.kind == ".parquet" else path

    def exists(self) -> bool:
        """Return whether there are results, finished or not."""
        return self.path.exists() or self.partial.exists()

    def start(self, rows: Sequence[Row] = ()) -> None:
        """Begin the file anew, with rows to keep.

        Raises:
            StorageError: it cannot be written.
        """
        header = _csv([COLUMNS]) if self.kind == ".csv" else ""
        write_text(self.partial, header + self._text(rows))

    def add(self, rows: Sequence[Row]) -> None:
        """Add rows, all of them or none.

        Raises:
            StorageError: they cannot be written; those before are whole.
        """
        size = self.partial.stat().st_size
        try:
            with self.partial.open("ab") as file:
                file.write(self._text(rows).encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            os.truncate(self.partial, size)
            raise StorageError(
                f"cannot write {self.partial}: {error.strerror or error}; free space, then go on "
                "with --resume"
            ) from error

    def finish(self) -> None:
        """Turn waiting rows into Parquet; nothing else needs it.

        Raises:
            StorageError: it cannot be written.
        """
        if self.kind != ".parquet":
            return
        import pandas as pd

        table = pd.DataFrame(self.read(), columns=list(COLUMNS))
        with atomic_path(self.path) as partial:
            table.assign(regions=table["regions"].map(json.dumps)).to_parquet(partial, index=False)
        self.partial.unlink()

    def read(self) -> list[dict[str, Any]]:
        """Return the rows that are there; a last line that was cut short is left out.

        Raises:
            DataError: the file holds something else.
        """
        try:
            if not self.partial.exists():
                import pandas as pd

                table = pd.read_parquet(self.path)
                table = table.assign(regions=table["regions"].map(json.loads))
                plain = table.astype(object).where(table.notna(), None)
                return [
                    dict(zip(COLUMNS, row, strict=True)) for row in plain[[*COLUMNS]].to_numpy()
                ]
            text = self.partial.read_text(encoding="utf-8")
            whole = text[: text.rfind("\n") + 1]
            rows = _from_csv(whole) if self.kind == ".csv" else _from_lines(whole)
        except (OSError, ValueError, KeyError, csv.Error) as error:
            raise DataError(
                f"{self.partial} does not hold results of clflow ({error}): name another file, or "
                "replace it with --overwrite"
            ) from error
        return rows

    def _text(self, rows: Sequence[Row]) -> str:
        if self.kind == ".csv":
            return _csv(_cells(row) for row in rows)
        return "".join(json.dumps({key: row[key] for key in COLUMNS}) + "\n" for row in rows)


def _cells(row: Row) -> list[Any]:
    texts = {**row, "regions": json.dumps(row["regions"]) if row["regions"] is not None else None}
    return ["" if texts[key] is None else texts[key] for key in COLUMNS]


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _from_csv(text: str) -> list[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise ValueError(f"its columns are not {', '.join(COLUMNS)}")
    return [_typed(row) for row in reader]


def _typed(row: Mapping[str, str]) -> dict[str, Any]:
    numbers = ("score", "false_alarm_rate", "threshold", "promised_rate", "milliseconds")
    typed: dict[str, Any] = {key: value or None for key, value in row.items()}
    for key in numbers:
        typed[key] = float(row[key]) if row[key] else None
    typed["regions"] = json.loads(row["regions"]) if row["regions"] else None
    return typed


def _from_lines(text: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in text.splitlines()]
    return [{key: row[key] for key in COLUMNS} for row in rows]
