"""Inputs that mean something else than they seem: each is read right, or refused with a way out."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from strange import (
    SIDE,
    bottle,
    bottles,
    change,
    flat_bottles,
    masks_of,
    put,
    scratched,
)

from clflow.data.check import check_folder, render
from clflow.data.images import read_image
from clflow.data.manifest import Prepared, build_manifest
from clflow.data.preparation import PrepareSettings
from clflow.data.records import read_manifest, record_mask, write_manifest
from clflow.errors import DataError
from clflow.pipeline.inputs import image_files

LAYOUTS = ("mvtec_ad", "folder")


def prepare(root: Path, layout: str = "mvtec_ad", **given: Any) -> Prepared:
    """Return what the stage makes of the bottles, after it agreed with `clflow data check`."""
    settings = PrepareSettings(**given)
    report = check_folder(root, layout, settings)
    try:
        prepared = build_manifest(root, "bottle", layout, settings)
    except DataError:
        assert not report.ok
        raise
    assert report.ok, printed(report)
    assert prepared.notes == report.categories[0].assessment.notes
    path = root.parent / "manifest.csv"
    write_manifest(path, prepared.manifest)
    assert read_manifest(path) == prepared.manifest
    return prepared


def printed(report: Any) -> str:
    console = Console(file=io.StringIO(), width=200)
    render(report, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def refused(root: Path, layout: str = "mvtec_ad", **given: Any) -> str:
    with pytest.raises(DataError) as caught:
        prepare(root, layout, **given)
    return str(caught.value)


def notes(root: Path, layout: str = "mvtec_ad", **given: Any) -> str:
    return "\n".join(prepare(root, layout, **given).notes)


def marked(root: Path, **given: Any) -> list[NDArray[np.bool_]]:
    """Return the masks as the stage evaluate reads them."""
    records = prepare(root, **given).manifest.test
    found = [record_mask(record, root) for record in records if record.label]
    return [mask for mask in found if mask is not None]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "parts"


TRUE = [scratched(200 + index)[1] > 0 for index in range(4)]


def worst_overlap(masks: list[NDArray[np.bool_]]) -> float:
    assert len(masks) == len(TRUE)
    return min(
        float((mask & true).sum() / (mask | true).sum())
        for mask, true in zip(masks, TRUE, strict=True)
    )


def test_ordinary_bottles_are_fit_without_a_word(root: Path) -> None:
    bottles(root)
    prepared = prepare(root)
    assert prepared.notes == ()
    assert {record.reading for record in prepared.manifest.records} == {""}
    assert worst_overlap(marked(root)) == 1


# 1 masks


def two(background: Any, drawn: Any) -> Callable[[NDArray[Any]], NDArray[Any]]:
    return lambda mask: np.where(
        (mask > 0).reshape(*mask.shape, *[1] * np.ndim(drawn)), drawn, background
    ).astype(np.uint8)


@pytest.mark.parametrize(
    "colours",
    [
        pytest.param((0, 1), id="one"),
        pytest.param((0, 128), id="grey"),
        pytest.param((1, 2), id="classes"),
        pytest.param((16, 235), id="video"),
        pytest.param((200, 30), id="dark on bright"),
        pytest.param(((0, 0, 0), (255, 0, 0)), id="red on black"),
        pytest.param(((0, 0, 255), (255, 0, 0)), id="red on blue"),
        pytest.param(((68, 1, 84), (253, 231, 37)), id="viridis"),
        pytest.param(((0, 0, 0, 0), (255, 255, 255, 255)), id="transparent"),
    ],
)
def test_masks_of_any_two_colours_are_read_right(root: Path, colours: tuple[Any, Any]) -> None:
    change(masks_of(bottles(root)), two(*colours))
    assert worst_overlap(marked(root)) == 1


def soft(mask: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 2.5))


@pytest.mark.parametrize(
    ("make", "given", "least"),
    [
        pytest.param(lambda mask: mask, {"suffix": ".jpg", "quality": 60}, 0.97, id="jpeg"),
        pytest.param(soft, {}, 0.85, id="soft"),
        pytest.param(lambda mask: soft(mask) // 2, {}, 0.85, id="soft and grey"),
        pytest.param(
            two((0, 0, 255), (255, 0, 0)), {"suffix": ".jpg", "quality": 85}, 0.9, id="colour jpeg"
        ),
    ],
)
def test_masks_of_more_values_are_cut_at_half_and_noted(
    root: Path, make: Callable[[Any], Any], given: dict[str, Any], least: float
) -> None:
    change(masks_of(bottles(root)), make, **given)
    assert "4 masks have more than two values, pixels from half brightness" in notes(root)
    assert worst_overlap(marked(root)) >= least


@pytest.mark.parametrize("values", [(1, 2, 3), (64, 128, 255), (100, 101, 102)])
def test_numbers_of_classes_are_all_defects(root: Path, values: tuple[int, ...]) -> None:
    def numbered(mask: NDArray[Any]) -> NDArray[Any]:
        columns = np.arange(SIDE) * len(values) // SIDE
        return np.where(mask > 0, np.array(values)[columns][None], 0).astype(np.uint8)

    change(masks_of(bottles(root)), numbered)
    assert worst_overlap(marked(root)) == 1


def on_transparent(colour: int) -> Callable[[NDArray[Any]], NDArray[Any]]:
    return lambda mask: np.dstack([np.full((SIDE, SIDE, 3), colour, np.uint8), mask])


@pytest.mark.parametrize(
    ("make", "message", "way_out"),
    [
        pytest.param(
            lambda mask: 255 - mask, "looks inverted", {"mask": "inverted"}, id="inverted"
        ),
        pytest.param(
            lambda mask: np.asarray(cv2.GaussianBlur(255 - mask, (0, 0), 0.6)),
            "looks inverted",
            {"mask": "inverted"},
            id="soft inverted",
        ),
        pytest.param(on_transparent(255), "set prepare.mask: alpha", {"mask": "alpha"}, id="white"),
        pytest.param(on_transparent(0), "set prepare.mask: alpha", {"mask": "alpha"}, id="black"),
    ],
)
def test_masks_that_no_rule_can_read_name_the_file_and_the_way_out(
    root: Path, make: Callable[[Any], Any], message: str, way_out: dict[str, Any]
) -> None:
    change(masks_of(bottles(root)), make)
    told = refused(root)
    assert told.count(message) == 4
    assert "ground_truth/scratch/000_mask.png" in told
    assert worst_overlap(marked(root, **way_out)) >= 0.97


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda mask: np.full_like(mask, 255), "marks the whole image", id="whole"),
        pytest.param(
            lambda mask: np.where(np.arange(SIDE) < 0.6 * SIDE, 255, 0 * mask).astype(np.uint8),
            "marks 60 % of its image",
            id="majority",
        ),
    ],
)
def test_masks_of_most_of_an_image_are_asked_about(
    root: Path, make: Callable[[Any], Any], message: str
) -> None:
    change(masks_of(bottles(root))[:1], make)
    assert message in refused(root)
    assert "raise prepare.mask_share (0.5)" in refused(root)
    assert len(marked(root, mask_share=1)) == 4


def test_a_picture_is_no_mask(root: Path) -> None:
    change(masks_of(bottles(root)), lambda mask: bottle(7))
    assert refused(root).count("looks like a picture, not like a mask") == 4


def test_two_colours_of_equal_area_or_of_two_meanings_are_refused(root: Path) -> None:
    masks = masks_of(bottles(root))
    change(masks[:2], two((0, 0, 255), (255, 0, 0)))
    change(masks[2:], two((255, 0, 0), (0, 0, 255)))
    assert "have the same two colours, but the rarer one is another" in refused(root)
    halves = np.where(np.arange(SIDE) < 60, np.full((SIDE, 1), 50), 150).astype(np.uint8)
    change(masks, lambda mask: halves)
    assert "of about the same area and none is black" in refused(root)


def test_the_old_rule_is_a_setting(root: Path) -> None:
    change(masks_of(bottles(root)), soft)
    grown = [mask.sum() for mask in marked(root, mask="nonzero")]
    assert sum(grown) > 1.8 * sum(true.sum() for true in TRUE)


# 2 orientation


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_images_are_turned_by_their_tag_and_it_is_said(
    root: Path, suffix: str, orientation: int
) -> None:
    folder = bottles(root)
    turns = {3: 2, 6: 1, 8: 3}[orientation]
    wide = lambda image: np.rot90(image[:96], turns)  # noqa: E731
    tagged = sorted((folder / "test/scratch").iterdir())
    change(tagged, wide, suffix=suffix, orientation=orientation)
    change(masks_of(folder), lambda mask: mask[:96])
    assert f"4 images with an EXIF orientation ({orientation}) are turned by it" in notes(root)
    assert "masks are compared with the turned pixels" in notes(root)
    manifest = prepare(root).manifest
    record = next(record for record in manifest.test if record.label)
    assert (record.width, record.height) == (SIDE, 96)
    gap = image_files(root, [record])[0].astype(int) - scratched(200)[0][:96]
    assert np.abs(gap).mean() < 6


def test_a_mask_of_the_pixels_as_stored_is_told_from_a_wrong_one(root: Path) -> None:
    folder = bottles(root)
    tagged = sorted((folder / "test/scratch").iterdir())
    change(tagged, lambda image: image[:96], suffix=".jpg", orientation=6)
    change(masks_of(folder), lambda mask: mask[:96])
    message = refused(root)
    assert "turned by its EXIF orientation 6" in message
    assert "prepare.orientation: ignore" in message
    prepared = prepare(root, orientation="ignore")
    assert "are not turned (prepare.orientation: ignore)" in "\n".join(prepared.notes)
    record = next(record for record in prepared.manifest.test if record.label)
    assert image_files(root, [record])[0].shape == (96, SIDE, 3)
    assert record_mask(record, root) is not None
    assert "has the EXIF orientation 6" in refused(root, orientation="refuse")


# 3 whole folders


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


# 4 masks as images


def add_masks(folder: Path, pattern: str, suffix: str = ".png") -> None:
    for index in range(4):
        put(folder / pattern.format(f"{index:03d}"), scratched(200 + index)[1])


@pytest.mark.parametrize(
    "pattern",
    [
        "mask/{}.png",
        "scratch_masks/{}.png",
        "labels/{}_label.bmp",
        "scratch/{}_GT.png",
        "scratch/{}_label.bmp",
        "annotations/defect-{}.jpg",
        "good/{}_mask.png",
    ],
)
def test_masks_among_the_images_are_found_by_what_they_show(root: Path, pattern: str) -> None:
    add_masks(flat_bottles(root), pattern)
    message = refused(root, "folder")
    assert "4 images look like masks" in message
    assert f"bottle/{pattern.format('000')}" in message
    assert "bottle/scratch/: " in message
    assert "masks belong into ground_truth/<defect>/" in message


def test_masks_in_a_test_folder_are_found(root: Path) -> None:
    add_masks(bottles(root), "test/mask/{}.png")
    assert "bottle/test/mask/: 4 with the defect 'mask'" in refused(root)


def test_images_of_two_values_are_images(root: Path) -> None:
    folder = bottles(root)
    shutil.rmtree(folder / "ground_truth")
    pictures = list(folder.rglob("*.png"))
    change(pictures, lambda image: (image[..., 0] > 90).astype(np.uint8) * 255)
    assert "look like masks" not in notes(root)


# 5 names of good images


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


# 6 depth


def deep(bits: int, dtype: Any = np.uint16) -> Callable[[NDArray[Any]], NDArray[Any]]:
    def make(image: NDArray[Any]) -> NDArray[Any]:
        return (image[..., 1].astype(np.float64) * (2**bits - 1) / 255).astype(dtype)

    return make


def pictures_of(folder: Path) -> list[Path]:
    return sorted([*folder.glob("train/*/*.*"), *folder.glob("test/*/*.*")])


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_the_depth_that_is_used_is_found(root: Path, bits: int, suffix: str) -> None:
    folder = bottles(root)
    change(pictures_of(folder), deep(bits), suffix=suffix)
    prepared = prepare(root)
    assert [f"{2**bits - 1} is taken for white" in note for note in prepared.notes] == (
        [] if bits == 16 else [True]
    )
    image = image_files(root, prepared.manifest.train[:1])[0]
    record = prepared.manifest.train[0]
    original = bottle(int(Path(record.path).stem))[..., 1]
    assert np.abs(image[..., 0].astype(int) - original).max() <= 1
    assert read_image(root / record.path).max() <= (255 if bits == 16 else 64)


@pytest.mark.parametrize("scale", [1.0, 255.0, 4095.0])
def test_float_images_are_read_by_their_range(root: Path, scale: float) -> None:
    folder = bottles(root)
    change(
        pictures_of(folder),
        lambda image: (image[..., 1] / 255 * scale).astype(np.float32),
        suffix=".tif",
    )
    assert f"{scale:g} is taken for white" in notes(root)
    record = prepare(root).manifest.train[0]
    original = bottle(int(Path(record.path).stem))[..., 1]
    image = image_files(root, [record])[0]
    assert np.abs(image[..., 0].astype(int) - original).max() <= 1


def test_mixed_depths_are_refused(root: Path) -> None:
    folder = bottles(root)
    paths = pictures_of(folder)
    change(paths[::2], deep(12))
    change(paths[1::2], deep(16))
    assert "images seem to be of different depths" in refused(root)
    assert prepare(root, white=65535).manifest.train
    change(paths[::2], lambda image: (image >> 4).astype(np.uint8))
    assert "images have different depths: 16 16-bit" in refused(root)


@pytest.mark.parametrize("value", [float("nan"), -1.0, float("inf")])
def test_numbers_that_are_no_brightness_are_refused(root: Path, value: float) -> None:
    folder = bottles(root)
    change(
        pictures_of(folder), lambda image: (image[..., 1] / 255).astype(np.float32), suffix=".tif"
    )
    spoilt = np.full((SIDE, SIDE), 0.5, np.float32)
    spoilt[3, 3] = value
    put(folder / "test/good/000.tif", spoilt)
    assert "allowed are numbers from 0 on" in refused(root)


def test_a_given_white_is_kept_and_checked(root: Path) -> None:
    folder = bottles(root)
    change(pictures_of(folder), deep(10))
    assert {record.reading for record in prepare(root, white=4095).manifest.records} == {
        "white=4095"
    }
    assert "brighter than prepare.white (500)" in refused(root, white=500)


# 7 copies


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda image, path: put(path.with_suffix(".bmp"), image), id="bmp"),
        pytest.param(lambda image, path: put(path, image, compress_level=1), id="png again"),
        pytest.param(
            lambda image, path: put(path, np.dstack([image, image[..., 0] * 0 + 255])), id="alpha"
        ),
        pytest.param(lambda image, path: put(path, np.rot90(image, 2), orientation=3), id="turned"),
    ],
)
@pytest.mark.parametrize("place", ["good", "scratch"])
def test_training_images_saved_anew_are_leaks(
    root: Path, make: Callable[[NDArray[Any], Path], Any], place: str
) -> None:
    folder = bottles(root)
    make(bottle(5), folder / f"test/{place}/777.png")
    message = refused(root)
    assert "is identical to training image bottle/train/good/005.png in every pixel" in message


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda image: (image, ".jpg"), id="jpeg"),
        pytest.param(lambda image: (cv2.resize(image, (256, 256)), ".png"), id="larger"),
        pytest.param(lambda image: (np.clip(image, 0, 250) + 5, ".png"), id="brighter"),
    ],
)
def test_nearly_equal_images_are_named_in_pairs(root: Path, make: Callable[[Any], Any]) -> None:
    folder = bottles(root)
    image, suffix = make(bottle(5))
    put(folder / f"test/good/777{suffix}", image)
    assert f"bottle/test/good/777{suffix} ~ bottle/train/good/005.png" in notes(root)


def test_copies_among_images_without_a_split_share_one(root: Path) -> None:
    folder = flat_bottles(root)
    for index in range(28):
        put(folder / f"good/copy{index:03d}.bmp", bottle(index))
    records = prepare(root, "folder").manifest.records
    splits = {one.path.removeprefix("bottle/good/"): one.split for one in records}
    for index in range(28):
        assert splits[f"{index:03d}.png"] == splits[f"copy{index:03d}.bmp"]


# 8 pages


@pytest.mark.parametrize(
    "place", ["train/good/005", "test/scratch/001", "ground_truth/scratch/001_mask"]
)
@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_files_of_several_pages_are_refused_or_read_by_the_first(
    root: Path, place: str, suffix: str
) -> None:
    folder = bottles(root)
    path = folder / f"{place}.png"
    first = np.asarray(Image.open(path))
    path.unlink()
    other = Image.fromarray(first[::-1].copy())
    put(path.with_suffix(suffix), first, save_all=True, append_images=[other, other])
    assert "has 3 pages or frames" in refused(root)
    assert worst_overlap(marked(root, pages="first")) == 1


# 10 constant images


def test_blank_images_are_told(root: Path) -> None:
    folder = bottles(root)
    put(folder / "test/good/000.png", np.zeros((SIDE, SIDE, 3), np.uint8))
    assert "1 of 32 images have one colour all over: bottle/test/good/000.png" in notes(root)
    change(pictures_of(folder), lambda image: image // 255 + 40)
    assert "nothing can be learnt from them" in refused(root)


def test_a_folder_on_windows_is_told_to_use_slashes(root: Path) -> None:
    folder = flat_bottles(root)
    (folder / "list.csv").write_text("image,label\ngood\\000.png,good\n")
    assert "is written with \\, use / between folders" in refused(root, "table")


def test_huge_images_are_refused_by_their_header(root: Path) -> None:
    folder = bottles(root)
    put(folder / "test/good/huge.png", np.zeros((3000, 3000), np.uint8))
    assert "3000 x 3000 = 9,000,000 pixels, more than the 1,000,000" in refused(
        root, max_pixels=1_000_000
    )
    assert "one colour all over" in notes(root)
