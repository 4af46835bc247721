"""Images listed in a table: what the rows become, and what is refused with file and line."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from builders import flat_category, listed_category, mvtec_category, save, texture
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from clflow.data.check import check_folder, render
from clflow.data.layouts import detect_layout, find_categories, find_images
from clflow.data.manifest import build_manifest
from clflow.data.preparation import PrepareSettings
from clflow.data.records import ANOMALY, GOOD, Found
from clflow.data.table_layout import TABLE, read_table
from clflow.errors import DataError

HEADER = ("image", "label", "mask", "split")
LABELS = {
    **dict.fromkeys(("good", "Good", "normal", "NORMAL", "0"), GOOD),
    **dict.fromkeys(("1", "anomalous", "Anomalous", "anomaly"), ANOMALY),
    **{name: name for name in ("crack", "Riss größer", "type-2", "2nd")},
}


def write(folder: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER) -> Path:
    """Write a table and return it."""
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / TABLE
    path.write_text(text.getvalue(), encoding="utf-8")
    return path


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return a folder with files that no one looks into."""
    for name in ("a.png", "b.png", "c.png", "masks/a.png"):
        (tmp_path / "x" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x" / name).write_bytes(b"pixels")
    (tmp_path / "outside.png").write_bytes(b"pixels")
    return tmp_path / "x"


LETTERS = st.characters(exclude_categories=["C", "Z"], exclude_characters="/\\")
NAMES = st.text(LETTERS | st.just(" "), min_size=1, max_size=12).map(str.strip).filter(bool)
FOLDERS = st.sampled_from(["", "sub/", "./", "sub/../", "deep/er/"])
ROWS = st.lists(
    st.tuples(FOLDERS, NAMES, st.sampled_from(list(LABELS)), st.booleans(), st.booleans()),
    min_size=1,
    max_size=8,
    unique_by=lambda row: row[1].casefold(),
)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.booleans(), st.permutations(HEADER), st.booleans())
def test_any_table_is_what_it_says(
    rows: list[tuple[str, str, str, bool, bool]],
    with_split: bool,
    columns: list[str],
    absolute: bool,
) -> None:
    with TemporaryDirectory() as name:
        folder, expected, cells = Path(name) / "c", [], []
        for inner, stem, label, masked, tested in rows:
            image, mask = f"{inner}{stem}.png", f"masks/{stem}.png"
            defect = LABELS[label]
            masked, tested = masked and defect != GOOD, tested or defect != GOOD
            for file in (image, *([mask] if masked else [])):
                # a detour over `sub/..` needs the folder `sub`
                for place in (folder / file).parents[:3]:
                    (Path(name) / place).mkdir(parents=True, exist_ok=True)
                (folder / file).write_bytes(b"pixels")
            part = ("test" if tested else "train") if with_split else "any"
            part = "test" if defect != GOOD else part
            clean = folder / image.replace("sub/../", "")
            expected.append(
                Found(clean, folder / mask if masked else None, defect, int(defect != GOOD), part)
            )
            given_image = str((folder / image).absolute()) if absolute else image
            row = {
                "image": given_image,
                "label": label,
                "mask": mask if masked else "",
                "split": part,
            }
            cells.append(row)
        kept = [column for column in columns if with_split or column != "split"]
        write(folder, [[row[column] for column in kept] for row in cells], kept)
        assert find_images(Path(name), "c", "table") == expected


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param(
            ["a.png,good,,val"], "line 2: unknown split 'val'.*train and test", id="split"
        ),
        pytest.param(["a.png,good,,"], "line 2: unknown split ''", id="no-split"),
        pytest.param(["a.png,crack,,train"], "line 2: .*'crack' is in train", id="bad-in-train"),
        pytest.param(["a.png,1,,train"], "line 2: .*'anomaly' is in train", id="one-in-train"),
        pytest.param(
            ["a.png,good,,test", "no.png,good,,test"],
            "line 3: no file for image 'no.png'",
            id="file",
        ),
        pytest.param([",good,,test"], "line 2: no file for image ''", id="no-name"),
        pytest.param(["masks,good,,test"], "line 2: no file for image 'masks'", id="folder"),
        pytest.param([f"{'a' * 999},good,,test"], "line 2: no file for image 'aaa", id="long"),
        pytest.param(["a\0.png,good,,test"], r"no file for image 'a\\x00.png'|NUL", id="nul"),
        pytest.param(
            ["a.png,crack,masks/no.png,test"], "line 2: no file for mask 'masks/no.png'", id="mask"
        ),
        pytest.param(["a.png,good,masks/a.png,test"], "'a.png' has a mask", id="mask-of-good"),
        pytest.param(["a.png,crack,./a.png,test"], "'a.png' is its own mask", id="own-mask"),
        pytest.param(
            ["a.png,good,,test", "b.png,good,,test", "./a.png,crack,,test"],
            "line 4: image 'a.png' is in line 2 already",
            id="twice",
        ),
        pytest.param(["../outside.png,good,,test"], "line 2: image .*leads out of", id="out"),
        pytest.param(["/outside.png,good,,test"], "line 2: image .*leads out of", id="absolute"),
        pytest.param(
            ["a.png,crack,../outside.png,test"], "line 2: mask .*leads out", id="mask-out"
        ),
        pytest.param(["a.png,,,test"], "line 2: label '' is not allowed", id="no-label"),
        pytest.param(["a.png,-1,,test"], "line 2: label '-1' is not allowed", id="minus-one"),
        pytest.param(["a.png,0.0,,test"], "line 2: label '0.0' is not allowed", id="fraction"),
        pytest.param(["a.png,cr/ack,,test"], "line 2: label 'cr/ack' is not", id="slash"),
        pytest.param(["a.png,..x,,test"], "line 2: label '..x' is not", id="dots"),
        pytest.param(["a.png,good,test"], "line 2: 3 fields below a header of 4", id="short"),
        pytest.param(["a.png,good,,test,"], "line 2: 5 fields below", id="long-row"),
        pytest.param(['"a.png,good,,test'], "unexpected end of data; save it as CSV", id="quote"),
        pytest.param([], "lists no image", id="no-row"),
    ],
)
def test_wrong_rows_are_refused(files: Path, rows: list[str], message: str) -> None:
    (files / TABLE).write_text("\n".join(["image,label,mask,split", *rows]), encoding="utf-8")
    with pytest.raises(DataError, match=f"(?s){TABLE}.*{message}"):
        find_images(files.parent, "x", "table")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param("\n", "is empty", id="blank"),
        pytest.param("image,split\na.png,test\n", "line 1: lacks the column label", id="label"),
        pytest.param("a.png,good\n", "lacks the column image and label", id="no-header"),
        pytest.param("image;label\na.png;good\n", "lacks .*separated by commas", id="semicolon"),
        pytest.param("image,label,splt\na.png,good,test\n", "column 'splt' is unknown", id="slip"),
        pytest.param("image,label,image\n", "column 'image' is unknown or given", id="twice"),
    ],
)
def test_wrong_headers_are_refused(files: Path, text: str, message: str) -> None:
    (files / TABLE).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=f"{TABLE}.*{message}"):
        read_table(files / TABLE)


def test_a_table_in_another_encoding_is_refused(files: Path) -> None:
    (files / TABLE).write_bytes("image,label\na.png,größer\n".encode("latin-1"))
    with pytest.raises(DataError, match="save it as CSV in UTF-8"):
        read_table(files / TABLE)


def test_all_wrong_rows_are_told_at_once(files: Path) -> None:
    write(files, [[f"no{index}.png", "good", "", "test"] for index in range(30)])
    with pytest.raises(DataError) as caught:
        read_table(files / TABLE)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{files / TABLE} has 30 problem(s):"
    assert lines[-1] == "  - and 20 more"
    assert len(lines) == 12


def test_tables_as_spreadsheets_save_them_are_read(files: Path) -> None:
    text = "\ufeffimage , label\r\n a.png , good \r\n\r\nb.png,crack\r\n"
    (files / TABLE).write_bytes(text.encode())
    found = read_table(files / TABLE)
    assert [(image.path, image.defect) for image in found] == [
        (files / "a.png", "good"),
        (files / "b.png", "crack"),
    ]


def test_links_may_lead_out_of_the_folder(files: Path) -> None:
    (files / "link.png").symlink_to(files.parent / "outside.png")
    assert read_table(write(files, [["link.png", "good", "", "train"]]))


def test_absolute_paths_through_a_link_are_inside(files: Path) -> None:
    (files.parent / "link").symlink_to(files)
    write(files, [[str(files / "a.png"), "good", "", "train"]])
    (found,) = read_table(files.parent / "link" / TABLE)
    assert found.path == files.parent / "link/a.png"


def test_folders_with_a_list_are_the_categories(tmp_path: Path) -> None:
    listed_category(tmp_path, "nut")
    listed_category(tmp_path, "bolt")
    flat_category(tmp_path, "gear", good=1)
    assert find_categories(tmp_path, "table") == ["bolt", "nut"]
    assert detect_layout(tmp_path) == "table"
    assert find_categories(tmp_path / "nut", "table") == ["nut"]
    assert len(find_images(tmp_path / "nut", "nut", "table")) == 26
    mvtec_category(tmp_path, "widget", train=1)
    assert detect_layout(tmp_path) == "mvtec_ad"


def test_a_folder_without_lists_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"<category>/list.csv with the columns image, label and"):
        find_categories(tmp_path, "table")


def test_a_list_without_a_split_is_split_like_folders_are(tmp_path: Path) -> None:
    listed_category(tmp_path, good=30)
    prepared = build_manifest(tmp_path, "gear", "table", PrepareSettings())
    manifest = prepared.manifest
    assert (len(manifest.train), len(manifest.validation), len(manifest.test)) == (16, 8, 8)
    assert [(one.path, one.mask) for one in manifest.test if one.label] == [
        ("gear/bad0.png", "gear/masks/a.png"),
        ("gear/bad1.png", None),
    ]
    assert prepared.notes == ("1 of 2 anomalous images have no mask: gear/bad1.png",)


def test_images_that_are_not_listed_are_noted(tmp_path: Path) -> None:
    save(listed_category(tmp_path) / "new.png", texture(np.random.default_rng(1)))
    notes = build_manifest(tmp_path, "gear", "table", PrepareSettings()).notes
    assert notes[-1] == (
        "1 files are not read, pictures that the table does not list: gear/new.png"
    )


def test_check_reads_lists_and_tells_what_is_wrong(tmp_path: Path) -> None:
    folder = listed_category(tmp_path)
    report = check_folder(tmp_path)
    assert (report.layout, report.ok) == ("table", True)
    (folder / "000.png").unlink()
    report = check_folder(tmp_path)
    console = Console(file=io.StringIO(), width=200)
    render(report, console)
    assert not report.ok
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"error: {folder / TABLE} has 1 problem(s):\n  - line 2: no file for image" in text
