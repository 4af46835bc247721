"""Files that would vanish, and good images by other names: read, or told."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from strange import (
    bottle,
    bottles,
    flat_bottles,
    masks_of,
    put,
)
from strange_cases import LAYOUTS, notes, prepare, refused


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "parts"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(
            lambda folder: put(folder / "test/x/000.gif", bottle(5)), "in the format GIF", id="gif"
        ),
        pytest.param(
            lambda folder: put(folder / "test/x/000.webp", bottle(5)), "format WebP", id="webp"
        ),
        pytest.param(
            lambda folder: put(folder / "test/good/00.jp2", bottle(5)), "JPEG 2000", id="jpeg 2000"
        ),
        pytest.param(
            lambda folder: put(folder / "test/scratch/monday/0.png", bottle(5)),
            "in a folder where the layout has none",
            id="day",
        ),
        pytest.param(
            lambda folder: put(folder / "train/good/a/b/0.png", bottle(5)),
            "in a folder where the layout has none",
            id="train day",
        ),
        pytest.param(
            lambda folder: put(folder / "train/bad/0.png", bottle(5)),
            "in a folder where the layout has none",
            id="train bad",
        ),
        pytest.param(
            lambda folder: put(folder / "test/scratch/9.png", bottle(5)).rename(
                folder / "test/scratch/9.scan"
            ),
            "named with .scan, rename them",
            id="suffix",
        ),
        pytest.param(
            lambda folder: [
                path.rename(path.with_name(f"a{path.name}")) for path in masks_of(folder)
            ],
            "4 files are not read, masks that bear the name of no image",
            id="masks",
        ),
    ],
)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_pictures_that_would_vanish_are_errors(
    root: Path, make: Callable[[Path], Any], message: str, layout: str
) -> None:
    make(bottles(root))
    assert message in refused(root, layout)


@pytest.mark.parametrize("place", ["validation/good/000.png", "docs/a/b.png", "overview.png"])
def test_pictures_beside_the_layout_are_listed(root: Path, place: str) -> None:
    put(bottles(root) / place, bottle(5))
    assert f"bottle/{place}" in notes(root)


def test_every_file_is_accounted_for(root: Path) -> None:
    folder = bottles(root)
    for name in ("notes.txt", "test/scratch/a.json", "test/deep/er/list.csv", "ground_truth/x.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    (note,) = prepare(root).notes
    assert note.startswith("4 entries are not read: ")
    assert all(f"bottle/{name}" in note for name in ("notes.txt", "test/deep/er/list.csv"))


def test_a_loop_of_links_ends(root: Path) -> None:
    folder = bottles(root)
    (folder / "test/loop").symlink_to(folder)
    assert prepare(root).notes == ()


def test_a_table_reads_the_same_formats(root: Path) -> None:
    folder = flat_bottles(root)
    put(folder / "x.gif", bottle(5))
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    rows = [f"{name},{'good' if name.startswith('good') else 'scratch'}" for name in names]
    (folder / "list.csv").write_text("\n".join(["image,label", *rows, "x.gif,scratch"]))
    assert "x.gif: GIF is not read; convert it to PNG" in refused(root, "table")


@pytest.mark.parametrize("name", ["Good", "OK", "ok", "normal", "NORMAL"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_good_images_have_several_names(root: Path, name: str, layout: str) -> None:
    folder = bottles(root)
    (folder / "test/good").rename(folder / "test" / name)
    manifest = prepare(root, layout).manifest
    assert sorted(record.label for record in manifest.test) == [0] * 4 + [1] * 4
    assert {record.defect for record in manifest.records} == {"good", "scratch"}


@pytest.mark.parametrize("name", ["Good", "OK", "Normal"])
def test_flat_folders_and_training_folders_have_them_too(root: Path, name: str) -> None:
    folder = flat_bottles(root)
    (folder / "good").rename(folder / name)
    assert len([one for one in prepare(root, "folder").manifest.records if not one.label]) == 28
    shutil.rmtree(root)
    folder = bottles(root)
    (folder / "train/good").rename(folder / "train" / name)
    assert len(prepare(root, "folder").manifest.train) == 16


@pytest.mark.parametrize("name", ["OK", "Good", "normal", "0"])
def test_tables_have_them_too(root: Path, name: str) -> None:
    folder = flat_bottles(root)
    rows = [f"good/{index:03d}.png,{name}" for index in range(28)] + ["scratch/000.png,scratch"]
    (folder / "list.csv").write_text("\n".join(["image,label", *rows]))
    assert len([one for one in prepare(root, "table").manifest.records if one.label]) == 1


@pytest.mark.parametrize("name", ["goood", "okay", "good_2", "pass", "defect-free", "normals"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_near_miss_is_asked_about(root: Path, name: str, layout: str) -> None:
    folder = bottles(root)
    (folder / "test/good").rename(folder / "test" / name)
    assert f"is {name!r} the name of a defect?" in refused(root, layout)


@pytest.mark.parametrize("name", ["not_good", "nok", "ng", "abnormal", "ko", "wood", "gold"])
def test_names_of_defects_are_not_asked_about(root: Path, name: str) -> None:
    folder = bottles(root)
    (folder / "test/scratch").rename(folder / "test" / name)
    (folder / "ground_truth/scratch").rename(folder / "ground_truth" / name)
    assert prepare(root).manifest.has_masks
