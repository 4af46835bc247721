"""Tables in the README are those of the files they name."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"<!-- from (\S+) -->\n(.*?)\n<!-- end -->", README, re.DOTALL)


@pytest.mark.parametrize(("name", "block"), BLOCKS, ids=[name for name, _ in BLOCKS])
def test_quoted_table_is_in_its_file(name: str, block: str) -> None:
    source = (ROOT / name).read_text(encoding="utf-8")
    tables = [part for part in block.strip().split("\n\n") if part]
    assert tables
    for table in tables:
        assert table in source


def test_readme_quotes_each_saved_study() -> None:
    saved = {path.name for path in (ROOT / "results/studies").iterdir()}
    assert saved == {name.split("/")[2] for name, _ in BLOCKS if name.startswith("results/studies")}


def test_linked_files_exist() -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)]+)\)", README)
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]
