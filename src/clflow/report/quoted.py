"""Tables that a text quotes between markers, compared with the files they are from.

A block is `<!-- from FILE -->`, tables in Markdown with a blank line between, `<!-- end -->`; FILE
is relative to the folder of the text. A block of one table is the first table below the heading of
FILE that reads as the line before the block does; any other table is the one it equals or, when
that has changed, the only one with its columns.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clflow.errors import DataError
from clflow.files import write_text

_BLOCK = re.compile(r"<!-- from (?P<file>\S+) -->\n(?P<text>.*?)\n<!-- end -->", re.DOTALL)
_START, _END = "<!-- from", "<!-- end -->"
_TABLE = re.compile(r"(?:^\|.*\n?)+", re.MULTILINE)
_HEADING = re.compile(r"^#+ +(.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Quote:
    """A block: the file that it quotes, what it says, the line before it and its own number."""

    file: str
    text: str
    title: str
    line: int

    @property
    def name(self) -> str:
        """Return what a message calls it."""
        return f"line {self.line}, {self.title or 'untitled'} (from {self.file})"


def find_quotes(text: str) -> list[Quote]:
    """Return the blocks of a text.

    Raises:
        DataError: a marker without the other one of its block.
    """
    quotes = [_quote(match, text) for match in _BLOCK.finditer(text)]
    starts, ends = text.count(_START), text.count(_END)
    if not starts == ends == len(quotes):
        raise DataError(
            f"{starts} markers `{_START} FILE -->` and {ends} `{_END}` make {len(quotes)} blocks: "
            "each block needs both, on lines of their own"
        )
    return quotes


def current(quote: Quote, folder: Path) -> str:
    """Return what a block should say by now.

    Raises:
        DataError: its file is missing or does not say which table it is.
    """
    path = folder / quote.file
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(f"{quote.name}: cannot read {path}: {error}") from error
    tables = _tables(quote.text)
    if not tables:
        raise DataError(f"{quote.name}: no table between its markers")
    title = quote.title if len(tables) == 1 else ""
    return "\n\n".join(_current(table, title, source, quote) for table in tables)


def check_quotes(path: Path) -> int:
    """Return how many blocks a text has, all equal to their files.

    Raises:
        DataError: blocks differ, each is named; or as `current`.
    """
    quotes = find_quotes(_read(path))
    differing = [quote.name for quote in quotes if current(quote, path.parent) != quote.text]
    if differing:
        listed = "".join(f"\n  {name}" for name in differing)
        raise DataError(f"{path} differs from its files; run `clflow table --write`:{listed}")
    return len(quotes)


def write_quotes(path: Path) -> int:
    """Refresh all blocks of a text, and return how many have changed.

    Raises:
        DataError: as `current`; nothing is written then.
    """
    text = _read(path)
    quotes = find_quotes(text)
    tables = [current(quote, path.parent) for quote in quotes]
    remaining = iter(tables)
    renewed = _BLOCK.sub(lambda match: _block(match["file"], next(remaining)), text)
    if renewed != text:
        write_text(path, renewed)
    return sum(quote.text != table for quote, table in zip(quotes, tables, strict=True))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}; run in the root of a clone") from error


def _block(file: str, text: str) -> str:
    return f"<!-- from {file} -->\n{text}\n<!-- end -->"


def _quote(match: re.Match[str], text: str) -> Quote:
    before = text[: match.start()]
    lines = before.rstrip().splitlines()
    title = lines[-1].strip("#: ") if lines else ""
    return Quote(match["file"], match["text"], title, before.count("\n") + 1)


def _current(table: str, title: str, source: str, quote: Quote) -> str:
    for heading, below in _sections(source):
        if title and heading == title and below:
            return below[0]
    found = _tables(source)
    if table in found:
        return table
    alike = [other for other in found if _columns(other) == _columns(table)]
    if len(alike) == 1:
        return alike[0]
    raise DataError(
        f"{quote.name}: {len(alike)} tables of {quote.file} have its columns; write the heading of "
        "the one that is meant in the line before the block, followed by a colon"
    )


def _sections(source: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each heading with the tables up to the next one."""
    parts = _HEADING.split(source)
    for heading, text in zip(parts[1::2], parts[2::2], strict=True):
        yield heading, _tables(text)


def _tables(text: str) -> list[str]:
    return [table.rstrip("\n") for table in _TABLE.findall(text)]


def _columns(table: str) -> list[str]:
    return [cell.strip() for cell in table.splitlines()[0].split("|")]
