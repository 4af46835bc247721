import os
import sys
from pathlib import Path

import numpy as np
import pytest
from builders import (
    btad_category,
    defect_mask,
    flat_category,
    mvtec_category,
    save,
    save_good,
    texture,
    visa_dataset,
)

from clflow.data.layouts import detect_layout, find_categories, find_images, layout_names
from clflow.data.records import Found
from clflow.errors import DataError, SettingsError


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _count(images: list[Found], **wanted: object) -> int:
    return sum(
        all(getattr(image, key) == value for key, value in wanted.items()) for image in images
    )


def _masks(images: list[Found]) -> list[str | None]:
    return [image.mask.name if image.mask else None for image in images if image.label == 1]


def test_layout_names() -> None:
    assert layout_names() == ["btad", "folder", "mvtec_ad", "table", "visa"]


def test_mvtec_images_labels_and_masks(tmp_path: Path) -> None:
    folder = mvtec_category(tmp_path, train=4, good=2, defects={"crack": 2, "dent": 1})

    images = find_images(tmp_path, "widget", "mvtec_ad")

    assert _count(images, part="train", label=0, defect="good", mask=None) == 4
    assert _count(images, part="test", label=0, defect="good", mask=None) == 2
    assert [(image.path, image.mask) for image in images if image.label] == [
        (folder / f"test/{name}.png", folder / f"ground_truth/{name}_mask.png")
        for name in ("crack/000", "crack/001", "dent/000")
    ]
    assert _count(images, part="test", label=1) == 3


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_btad_uses_ok_and_ko(tmp_path: Path, suffix: str) -> None:
    btad_category(tmp_path, "03", train=4, suffix=suffix)

    images = find_images(tmp_path, "03", "btad")

    assert _count(images, part="train", defect="good", label=0) == 4
    assert _count(images, part="test", defect="good", label=0) == 3
    assert _count(images, part="test", defect="ko", label=1) == 3
    assert _masks(images) == [f"{index:03d}{suffix}" for index in range(3)]


def test_visa_follows_its_table(tmp_path: Path) -> None:
    visa_dataset(tmp_path, "candle", train=4)

    images = find_images(tmp_path, "candle", "visa")

    assert find_categories(tmp_path, "visa") == ["candle"]
    assert _count(images, part="train", defect="good", label=0, mask=None) == 4
    assert _count(images, part="test", defect="good", label=0) == 3
    assert _count(images, part="test", defect="anomaly", label=1) == 3
    assert all(image.mask and image.mask.is_file() for image in images if image.label)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param("label", "labels", "lacks the columns label", id="column"),
        pytest.param("normal", "fine", "label 'fine'", id="label"),
        pytest.param("train", "fit", "split 'fit'", id="split"),
    ],
)
def test_a_damaged_visa_table_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    table = visa_dataset(tmp_path, "candle", train=4) / "split_csv/1cls.csv"
    table.write_text(table.read_text().replace(old, new))

    with pytest.raises(DataError, match=message):
        find_images(tmp_path, "candle", "visa")


@pytest.mark.parametrize("masks", ["ground_truth/{}", "masks/{}", "{}_mask"])
@pytest.mark.parametrize("ending", [".png", "_mask.png", "_mask.bmp", ".tif", ".jpg"])
def test_flat_folders_find_masks_by_stem(tmp_path: Path, masks: str, ending: str) -> None:
    flat_category(tmp_path, good=5, defects={"crack": 2}, masks=masks, mask_ending=ending)

    images = find_images(tmp_path, "gear", "folder")

    assert _count(images, part="any", defect="good", label=0) == 5
    assert _count(images, part="test", defect="crack", label=1) == 2
    assert len(images) == 7
    assert _masks(images) == [f"000{ending}", f"001{ending}"]


def test_flat_folders_need_no_masks(tmp_path: Path) -> None:
    flat_category(tmp_path, good=5, defects={"crack": 1, "dent": 1}, masks=None)

    assert _masks(find_images(tmp_path, "gear", "folder")) == [None, None]


def test_a_defect_that_only_sounds_like_a_mask_is_kept(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    folder = flat_category(tmp_path, good=5, defects={}, masks=None)
    save_good(folder / "shadow_mask", 2, rng)

    assert _count(find_images(tmp_path, "gear", "folder"), defect="shadow_mask", label=1) == 2


def test_flat_good_with_a_test_folder_is_training_only(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    folder = flat_category(tmp_path, good=5, defects={}, masks=None)
    save_good(folder / "test/good", 2, rng)
    save_good(folder / "test/crack", 1, rng)
    save(folder / "ground_truth/crack/000.png", defect_mask(rng))

    images = find_images(tmp_path, "gear", "folder")

    assert _count(images, part="train", label=0) == 5
    assert _count(images, part="test", label=0) == 2
    assert _masks(images) == ["000.png"]


def test_own_folders_may_look_like_mvtec(tmp_path: Path) -> None:
    mvtec_category(tmp_path, train=4)

    own = find_images(tmp_path, "widget", "folder")

    assert own == find_images(tmp_path, "widget", "mvtec_ad")


@pytest.mark.parametrize("build", [mvtec_category, flat_category])
def test_a_root_that_is_a_category_is_named_after_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: object
) -> None:
    folder = build(tmp_path, "valve")  # type: ignore[operator]
    monkeypatch.chdir(folder)

    assert find_categories(folder, "folder") == ["valve"]
    assert find_categories(Path(), "folder") == ["valve"]
    assert len(find_images(Path(), "valve", "folder")) == len(
        find_images(tmp_path, "valve", "folder")
    )


def test_image_suffixes_of_any_case_are_read_and_others_skipped(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    good = mvtec_category(tmp_path, train=0) / "train/good"
    for name in ("a.PNG", "b.Jpg", "c.jpeg", "d.bmp", "e.tif", "f.TIFF"):
        save(good / name, texture(rng))
    for name in ("notes.txt", "g.gif", ".a.png", "._b.png"):
        (good / name).write_text("")
    (good / "folder.png").mkdir()

    images = find_images(tmp_path, "widget", "mvtec_ad")

    names = [image.path.name for image in images if image.part == "train"]
    assert names == ["a.PNG", "b.Jpg", "c.jpeg", "d.bmp", "e.tif", "f.TIFF"]


def test_only_folders_with_training_images_are_categories(tmp_path: Path) -> None:
    mvtec_category(tmp_path, "nut", train=1)
    mvtec_category(tmp_path, "bolt", train=1)
    (tmp_path / "docs").mkdir()
    (tmp_path / ".cache" / "train" / "good").mkdir(parents=True)
    (tmp_path / "LICENSE.txt").write_text("")

    assert find_categories(tmp_path, "mvtec_ad") == ["bolt", "nut"]
    assert find_categories(tmp_path, "folder") == ["bolt", "nut"]


@pytest.mark.parametrize("build", ["btad", "flat", "mvtec", "visa", "empty"])
def test_layouts_are_detected(tmp_path: Path, build: str) -> None:
    builders = {"btad": btad_category, "flat": flat_category, "mvtec": mvtec_category}
    if build == "visa":
        visa_dataset(tmp_path)
    elif build != "empty":
        builders[build](tmp_path)

    names = {"mvtec": "mvtec_ad", "flat": "folder", "empty": "folder"}
    assert detect_layout(tmp_path) == names.get(build, build)


def test_a_category_itself_is_detected_as_own_folder(tmp_path: Path) -> None:
    assert detect_layout(mvtec_category(tmp_path)) == "folder"


def test_unknown_names_suggest_the_nearest(tmp_path: Path) -> None:
    mvtec_category(tmp_path, "bottle", train=1)

    with pytest.raises(SettingsError, match=r"unknown layout 'mvtec'.*'mvtec_ad'"):
        find_categories(tmp_path, "mvtec")
    with pytest.raises(SettingsError, match=r"unknown category 'botle'.*'bottle'"):
        find_images(tmp_path, "botle", "mvtec_ad")


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent"):
        find_categories(tmp_path / "absent", "mvtec_ad")


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("mvtec_ad", "<category>/train/good"),
        ("btad", "<category>/train/ok"),
        ("visa", "split_csv/1cls.csv"),
        ("folder", "<category>/good"),
    ],
)
def test_a_root_without_categories_says_what_is_expected(
    tmp_path: Path, layout: str, expected: str
) -> None:
    with pytest.raises(DataError, match=expected):
        find_categories(tmp_path, layout)


@pytest.mark.parametrize("name", ["metal nut", "größe", "a@b", "-flag", "a,b"])
def test_names_that_no_stage_can_have_are_refused(tmp_path: Path, name: str) -> None:
    mvtec_category(tmp_path, name, train=1)

    with pytest.raises(DataError, match="rename"):
        find_categories(tmp_path, "mvtec_ad")


def test_a_category_has_room_for_the_files_named_after_it(tmp_path: Path) -> None:
    mvtec_category(tmp_path, "c" * 240, train=1)
    assert find_categories(tmp_path, "mvtec_ad") == ["c" * 240]
    mvtec_category(tmp_path, "d" * 241, train=1)
    with pytest.raises(DataError, match="has 241 characters: at most 240"):
        find_categories(tmp_path, "mvtec_ad")


@pytest.mark.parametrize("name", ["01", "metal_nut", "v1.2-b"])
def test_names_with_digits_and_signs_are_allowed(tmp_path: Path, name: str) -> None:
    mvtec_category(tmp_path, name, train=1)

    assert find_categories(tmp_path, "mvtec_ad") == [name]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps such names")
@pytest.mark.parametrize("name", [b"gro\xdf.png", b"a\r.png"])
def test_file_names_that_no_manifest_can_hold_are_refused(tmp_path: Path, name: bytes) -> None:
    folder = mvtec_category(tmp_path, train=1) / "train/good"
    (folder / "000.png").rename(folder / os.fsdecode(name))

    with pytest.raises(DataError, match="not UTF-8 or have control characters"):
        find_images(tmp_path, "widget", "mvtec_ad")
