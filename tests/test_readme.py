"""Tables in the README and in docs are those of the files they name, and links lead somewhere."""

import re
from pathlib import Path

import pytest

from clflow.report.quoted import Quote, current, find_quotes

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TEXTS = (README, *sorted((ROOT / "docs").glob("*.md")))
QUOTES = [(text.parent, quote) for text in TEXTS for quote in find_quotes(text.read_text("utf-8"))]
LINKS = [
    pytest.param(text.parent, link, id=f"{text.name} {link}")
    for text in TEXTS
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text.read_text("utf-8"))
]


@pytest.mark.parametrize(
    ("folder", "quote"), QUOTES, ids=[f"{q.file} line {q.line}" for _, q in QUOTES]
)
def test_quoted_table_is_that_of_its_file(folder: Path, quote: Quote) -> None:
    assert quote.text == current(quote, folder)


def test_each_saved_study_is_quoted() -> None:
    studies = ROOT / "results/studies"
    quoted = {(folder / quote.file).resolve() for folder, quote in QUOTES}
    found = {path.relative_to(studies).parts[0] for path in quoted if studies in path.parents}
    assert found == {path.name for path in studies.iterdir()}


@pytest.mark.parametrize(("folder", "link"), LINKS)
def test_linked_files_exist(folder: Path, link: str) -> None:
    assert (folder / link).exists()
