"""Tables in the README are those of the files they name."""

import re
from pathlib import Path

import pytest

from clflow.tables.quoted import Quote, current, find_quotes

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
QUOTES = find_quotes(README)


@pytest.mark.parametrize("quote", QUOTES, ids=[f"{q.file} line {q.line}" for q in QUOTES])
def test_quoted_table_is_that_of_its_file(quote: Quote) -> None:
    assert quote.text == current(quote, ROOT)


def test_readme_quotes_each_saved_study() -> None:
    saved = {path.name for path in (ROOT / "results/studies").iterdir()}
    files = [quote.file for quote in QUOTES]
    assert saved == {name.split("/")[2] for name in files if name.startswith("results/studies")}


def test_linked_files_exist() -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)]+)\)", README)
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]
