"""The pictures of a category: which images they show, and what of each."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from marked_images import PERFECT, SIDE, record, scored, two_good_two_bad
from numpy.typing import ArrayLike

from clflow.data.images import read_image
from clflow.data.records import Record
from clflow.pipeline.measure import LabelledImages
from clflow.pipeline.overlays import write_overlays
from clflow.pipeline.settings import EvaluateSettings


@pytest.fixture
def records(tmp_path: Path) -> tuple[Record, ...]:
    return two_good_two_bad(tmp_path)


def pictures(
    records: tuple[Record, ...], maps: ArrayLike, root: Path, settings: EvaluateSettings
) -> dict[str, np.ndarray]:
    """Return the pictures by file name, uint8 [H, W, 3]."""
    folder = root / "overlays"
    images = LabelledImages.read(records, root)
    write_overlays(images, scored(maps).test, 0.5, folder, settings)
    return {path.name: read_image(path) for path in sorted(folder.iterdir())}


def test_pictures_show_the_worst_and_a_sample(records: tuple[Record, ...], tmp_path: Path) -> None:
    gains = np.array([0.6, 0.2, 0.3, 0.1])[:, None, None]
    maps = gains * np.ones((4, SIDE, SIDE))
    found = pictures(records, maps, tmp_path, EvaluateSettings(worst=1, sample=2))
    assert list(found) == [
        "high-good-0-good-a.png",
        "low-defect-0-crack-d.png",
        "sample-0-good-a.png",
        "sample-1-crack-d.png",
    ]


def test_more_pictures_than_images_show_each_once(
    records: tuple[Record, ...], tmp_path: Path
) -> None:
    found = pictures(records, PERFECT, tmp_path, EvaluateSettings(worst=9, sample=9))
    assert len(found) == 2 + 2 + 4
    images = LabelledImages.read(records, tmp_path)
    none = EvaluateSettings(worst=0, sample=0)
    write_overlays(images, scored(PERFECT).test, 0.5, tmp_path / "none", none)
    assert not list((tmp_path / "none").iterdir())


def test_picture_is_image_then_outline_then_map(tmp_path: Path) -> None:
    """Shown at the map's size, whatever the image's: 40 x 40 pixels of an image of 20 x 60."""
    mask = np.zeros((20, 60), np.uint8)
    mask[5:15, 15:45] = 255
    pair = (record(tmp_path, "a", 0, size=(20, 60)), record(tmp_path, "b", 1, mask))
    maps = np.full((2, 40, 40), -2.5)
    maps[1, :, 30:] = 4
    found = pictures(pair, maps, tmp_path, EvaluateSettings(worst=1, sample=0))
    good, bad = found["high-good-0-good-a.png"], found["low-defect-0-crack-b.png"]
    assert good.shape == bad.shape
    assert good.shape[1] == 3 * 40
    good_panels, bad_panels = (np.split(picture[-40:], 3, axis=1) for picture in (good, bad))
    np.testing.assert_array_equal(good_panels[0], good_panels[1])
    red, *others = np.moveaxis(bad_panels[1][10, 12:28], -1, 0).astype(int)
    assert (red - np.maximum(*others) > 150).all(), "the mask's upper edge is drawn red"
    np.testing.assert_array_equal(bad_panels[0][18:22, 18:22], bad_panels[1][18:22, 18:22])
    heat = bad_panels[2].sum(axis=2)
    assert heat[:, 30:].min() > 600, "the highest score is the brightest colour"
    assert heat[:, :30].max() < 20, "the lowest score is the darkest colour"
    assert (good_panels[2] == bad_panels[2][0, 0]).all(), "all maps share one colour scale"


def test_one_extreme_image_leaves_the_others_visible(
    records: tuple[Record, ...], tmp_path: Path
) -> None:
    maps = np.zeros((4, SIDE, SIDE))
    maps[:, 0, 0] = 1, 1, 2, 1000
    found = pictures(records, maps, tmp_path, EvaluateSettings(worst=2, sample=0))
    brightness = {name: int(found[name][-SIDE, -SIDE].sum()) for name in found}
    assert brightness["low-defect-1-crack-d.png"] > 600
    assert brightness["low-defect-0-crack-c.png"] > 300
    assert brightness["high-good-0-good-b.png"] > 150


def test_constant_maps_are_drawn(records: tuple[Record, ...], tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = pictures(records, np.full((4, SIDE, SIDE), -3.5), tmp_path, EvaluateSettings())
    heat = {tuple(picture[-1, -1]) for picture in found.values()}
    assert len(heat) == 1


def test_long_names_of_images_and_defects_give_a_picture_each(tmp_path: Path) -> None:
    defects = np.zeros((SIDE, SIDE), np.uint8)
    defects[:4, :4] = 255
    one = record(tmp_path, f"{'n' * 240}a", 1, defects)
    other = record(tmp_path, f"{'n' * 240}b", 0)
    pair = (replace(one, defect="d" * 250), other)
    found = pictures(pair, np.zeros((2, SIDE, SIDE)), tmp_path, EvaluateSettings())
    assert len(found) == 4
    assert all(len(name) <= 255 for name in found)
