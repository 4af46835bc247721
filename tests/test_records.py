"""Manifest files: exact round trips, equal bytes for equal content, malformed ones refused."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clflow.data.reading import Ignored, Reading, parse_ignored, parse_reading, reading_text
from clflow.data.records import Manifest, Record, read_manifest, write_manifest
from clflow.errors import DataError

texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1)
readings = st.builds(
    Reading,
    white=st.none() | st.just(4095.0),
    upright=st.booleans(),
    mask=st.sampled_from(["auto", "alpha"]),
)
names = st.text(st.characters(exclude_characters=",", exclude_categories=["Cc", "Cs"]), min_size=1)
masks = st.builds(
    Ignored, border=st.integers(0, 99), mask=names, sha256=st.text("0123456789abcdef", min_size=64)
)
ignored = masks | st.builds(Ignored, border=st.integers(0, 99))
records = st.builds(
    Record,
    path=texts,
    sha256=st.just("0" * 64),
    width=st.integers(1, 9999),
    height=st.integers(1, 9999),
    label=st.integers(0, 1),
    defect=texts,
    mask=st.none() | texts,
    split=st.sampled_from(["train", "validation", "test"]),
    reading=st.builds(reading_text, readings, ignored),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(records, min_size=1, max_size=5, unique_by=lambda record: record.path), texts)
def test_manifests_survive_writing_and_reading(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Record], category: str
) -> None:
    path = tmp_path_factory.mktemp("manifest") / "manifest.csv"
    manifest = Manifest(category, tuple(rows))

    write_manifest(path, manifest)

    assert read_manifest(path) == manifest
    assert read_manifest(path).digest == manifest.digest


@given(readings, ignored)
def test_how_an_image_is_read_and_what_is_ignored_survive_as_one_text(
    reading: Reading, ignored: Ignored
) -> None:
    text = reading_text(reading, ignored)
    assert (parse_reading(text), parse_ignored(text)) == (reading, ignored)


@pytest.mark.parametrize(
    "text", ["border=-0", "border=x", "border=0", "ignored=a.png", "sha256=0", "mask=auto"]
)
def test_a_text_that_nothing_writes_is_no_way_to_read_an_image(text: str) -> None:
    with pytest.raises(ValueError, match=r"no way to read|invalid literal"):
        parse_ignored(text)


RECORD = Record("b.png", "0" * 64, 4, 3, 0, "good", None, "train")


def test_equal_manifests_give_equal_bytes_whatever_the_order(tmp_path: Path) -> None:
    rows = (RECORD, replace(RECORD, path="a.png", split="test"))

    write_manifest(tmp_path / "one.csv", Manifest("nut", rows))
    write_manifest(tmp_path / "two.csv", Manifest("nut", rows[::-1]))

    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert (tmp_path / "one.csv").read_text() == (
        "category,path,sha256,width,height,label,defect,mask,split\n"
        f"nut,a.png,{'0' * 64},4,3,0,good,,test\n"
        f"nut,b.png,{'0' * 64},4,3,0,good,,train\n"
    )


@pytest.mark.parametrize(
    "change",
    [{"sha256": "1" * 64}, {"split": "validation"}, {"mask": "m.png"}, {"width": 5}],
    ids=str,
)
def test_the_digest_changes_with_the_content(change: dict[str, object]) -> None:
    changed = replace(RECORD, **change)  # type: ignore[arg-type]

    assert Manifest("nut", (changed,)).digest != Manifest("nut", (RECORD,)).digest
    assert Manifest("bolt", (RECORD,)).digest != Manifest("nut", (RECORD,)).digest


HEADER = "category,path,sha256,width,height,label,defect,mask,split\n"
ROW = "nut,a.png,00,4,3,0,good,,train\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "columns", id="empty"),
        pytest.param("path,label\na,0\n", "columns", id="other columns"),
        pytest.param(HEADER, "one category", id="no rows"),
        pytest.param(HEADER + ROW + ROW.replace("nut,a", "bolt,b"), "bolt", id="two categories"),
        pytest.param(HEADER + ROW + ROW, "twice", id="same path"),
        pytest.param(HEADER + "nut,a.png\n", "2 fields", id="short row"),
        pytest.param(HEADER + ROW + "\n", "0 fields", id="blank row"),
        pytest.param(HEADER + ROW.replace("train", "val"), "'val'", id="split"),
        pytest.param(HEADER + ROW.replace(",0,", ",2,"), "'2'", id="label"),
        pytest.param(HEADER + ROW.replace(",4,", ",x,"), "'x'", id="width"),
        pytest.param(HEADER + 'nut,"a', "unexpected end", id="open quote"),
    ],
)
def test_malformed_manifests_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "manifest.csv"
    path.write_text(text)

    with pytest.raises(DataError, match=message):
        read_manifest(path)


def test_a_manifest_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(DataError, match="cannot read manifest"):
        read_manifest(tmp_path / "manifest.csv")
    with pytest.raises(DataError, match="No such file"):
        read_manifest(tmp_path / "absent.csv")
