"""Tables quoted in a text: found, compared with their files, brought up to date."""

from pathlib import Path

import pytest

from clflow.errors import DataError
from clflow.report.quoted import check_quotes, current, find_quotes, write_quotes

FIRST = "| Category | x |\n|:--|--:|\n| a | 1 |"
SECOND = "| Category | x |\n|:--|--:|\n| a | 2 |"
OTHER = "| method | s |\n|:--|--:|\n| x | 3 |"
SUMMARY = (
    f"# Study\n\n## First\n\n{FIRST}\n\n## Second\n\nwords\n\n{SECOND}\n\n## Third\n\n{OTHER}\n"
)


def block(table: str, file: str = "summary.md") -> str:
    return f"<!-- from {file} -->\n{table}\n<!-- end -->\n"


@pytest.fixture
def readme(tmp_path: Path) -> Path:
    (tmp_path / "summary.md").write_text(SUMMARY)
    path = tmp_path / "README.md"
    path.write_text(
        f"First:\n\n{block(FIRST)}\n"
        f"## Second\n\n{block(SECOND)}\n"
        f"Cost (see here):\n\n{block(OTHER)}"
    )
    return path


def test_blocks_have_their_file_text_and_the_line_before(readme: Path) -> None:
    quotes = find_quotes(readme.read_text())
    assert [quote.title for quote in quotes] == ["First", "Second", "Cost (see here)"]
    assert [quote.text for quote in quotes] == [FIRST, SECOND, OTHER]
    assert [quote.line for quote in quotes] == [3, 11, 19]


def test_a_text_that_agrees_is_left_as_it_is(readme: Path) -> None:
    before = readme.stat()
    assert check_quotes(readme) == 3
    assert write_quotes(readme) == 0
    assert readme.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("old", ["| a | 1 |", "| a | 2 |", "| x | 3 |"])
def test_the_block_that_differs_is_named_and_refreshed(readme: Path, old: str) -> None:
    text = readme.read_text()
    readme.write_text(text.replace(old, "| old | 9 |"))
    with pytest.raises(DataError, match=r"`clflow table --write`:\n  line \d+, [^\n]+$"):
        check_quotes(readme)
    assert write_quotes(readme) == 1
    assert readme.read_text() == text


def test_a_table_of_another_heading_differs(readme: Path) -> None:
    readme.write_text(f"First:\n\n{block(SECOND)}")
    with pytest.raises(DataError, match="line 3, First"):
        check_quotes(readme)


def test_new_columns_and_rows_follow_the_heading(readme: Path) -> None:
    wider = "| Category | x | y |\n|:--|--:|--:|\n| a | 1 | 2 |\n| b | 1 | 2 |"
    (readme.parent / "summary.md").write_text(SUMMARY.replace(FIRST, wider))
    assert write_quotes(readme) == 1
    assert find_quotes(readme.read_text())[0].text == wider


def test_several_tables_of_a_block_are_those_they_equal(readme: Path) -> None:
    changed = OTHER.replace("3", "4")
    (quote,) = find_quotes(block(f"{SECOND}\n\n{OTHER}"))
    (readme.parent / "summary.md").write_text(SUMMARY.replace(OTHER, changed))
    assert current(quote, readme.parent) == f"{SECOND}\n\n{changed}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(block(FIRST.replace("1", "9")), "2 tables of summary.md", id="ambiguous"),
        pytest.param(block("| q |\n|---|\n| 1 |"), "0 tables of summary.md", id="unknown"),
        pytest.param(block(FIRST, "gone.md"), r"line 1, untitled \(from gone.md\): ", id="no file"),
        pytest.param(block("words"), "no table between", id="no table"),
        pytest.param(f"<!-- from a -->\n{block(FIRST)}", "2 markers .* make 1 blocks", id="open"),
        pytest.param(f"{block(FIRST)}<!-- end -->", "1 markers .* and 2 ", id="closed twice"),
    ],
)
def test_what_cannot_be_refreshed_is_told_and_changes_nothing(
    readme: Path, text: str, message: str
) -> None:
    first = block(SECOND.replace("2", "8"))
    text = text if "markers" in message else f"{text}\nSecond:\n{first}"
    readme.write_text(text)
    for act in (check_quotes, write_quotes):
        with pytest.raises(DataError, match=message):
            act(readme)
    assert readme.read_text() == text


def test_a_missing_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        check_quotes(tmp_path / "README.md")
