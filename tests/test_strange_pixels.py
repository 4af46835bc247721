"""Orientation, depth, pages, copies and blank images: read right, or told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
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
from strange_cases import marked, notes, pictures_of, prepare, refused, worst_overlap

from clflow.data.images import read_image
from clflow.data.records import record_mask
from clflow.pipeline.inputs import image_files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "parts"


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


def deep(bits: int, dtype: Any = np.uint16) -> Callable[[NDArray[Any]], NDArray[Any]]:
    def make(image: NDArray[Any]) -> NDArray[Any]:
        return (image[..., 1].astype(np.float64) * (2**bits - 1) / 255).astype(dtype)

    return make


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
