"""Masks that mean something else than they seem: read right, or refused with a way out."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
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
from strange_cases import TRUE, marked, notes, prepare, refused, worst_overlap


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "parts"


def test_ordinary_bottles_are_fit_without_a_word(root: Path) -> None:
    bottles(root)
    prepared = prepare(root)
    assert prepared.notes == ()
    assert {record.reading for record in prepared.manifest.records} == {""}
    assert worst_overlap(marked(root)) == 1


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
