"""Data that cannot become a manifest, and data that become one with a note."""

from pathlib import Path

import numpy as np
import pytest
from builders import defect_mask, flat_category, mvtec_category, save, texture, visa_dataset

from clflow.data.manifest import build_manifest
from clflow.data.preparation import PrepareSettings
from clflow.errors import DataError

DEFAULT = PrepareSettings()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(9)


def _error(root: Path, category: str = "widget", layout: str = "mvtec_ad") -> str:
    with pytest.raises(DataError) as caught:
        build_manifest(root, category, layout, DEFAULT)
    return str(caught.value)


def test_no_good_training_image_is_an_error(tmp_path: Path) -> None:
    mvtec_category(tmp_path, train=0)

    assert "no good training image" in _error(tmp_path)


def test_too_few_good_images_name_numbers_and_settings(tmp_path: Path) -> None:
    mvtec_category(tmp_path, train=15)

    message = _error(tmp_path)

    assert "only 15 different good images" in message
    assert "8 are held out (validation_minimum" in message
    assert "8 must remain (training_minimum)" in message


def test_no_test_image_is_an_error(tmp_path: Path) -> None:
    mvtec_category(tmp_path, good=0, defects={})

    assert "no test image" in _error(tmp_path)


def test_damaged_files_are_all_listed(tmp_path: Path, rng: np.random.Generator) -> None:
    folder = mvtec_category(tmp_path, train=30)
    for index in range(3):
        (folder / f"train/good/{index:03d}.png").write_bytes(b"")
    (folder / "test/good/000.png").write_text("no image")
    save(folder / "ground_truth/crack/000_mask.png", defect_mask(rng, (8, 8)))

    message = _error(tmp_path)

    assert "5 problem(s)" in message
    assert message.count("the file is empty") == 3
    assert "test/good/000.png" in message
    assert "is 8x8 but its image is 16x16" in message


def test_long_lists_of_problems_are_cut(tmp_path: Path) -> None:
    folder = mvtec_category(tmp_path, train=40)
    for index in range(13):
        (folder / f"train/good/{index:03d}.png").write_bytes(b"")

    message = _error(tmp_path)

    assert message.count("the file is empty") == 10
    assert message.endswith("and 3 more")


@pytest.mark.parametrize("target", ["test/good/009.png", "test/crack/009.png"])
def test_a_training_image_in_the_test_set_is_a_leak(tmp_path: Path, target: str) -> None:
    folder = mvtec_category(tmp_path)
    (folder / target).write_bytes((folder / "train/good/004.png").read_bytes())

    message = _error(tmp_path)

    assert f"test image widget/{target} is identical to training image" in message
    assert "widget/train/good/004.png" in message


def test_a_flat_good_image_among_the_defects_is_a_leak(tmp_path: Path) -> None:
    folder = flat_category(tmp_path)
    (folder / "crack/009.png").write_bytes((folder / "good/004.png").read_bytes())

    assert "identical" in _error(tmp_path, "gear", "folder")


@pytest.mark.parametrize("name", ["000_mask.png", "000.bmp"])
def test_masks_beside_their_images_are_not_taken_for_images(
    tmp_path: Path, rng: np.random.Generator, name: str
) -> None:
    folder = flat_category(tmp_path, masks=None)
    save(folder / "crack" / name, defect_mask(rng))

    assert "look like an image and its mask" in _error(tmp_path, "gear", "folder")


def test_visa_rows_without_a_file_are_listed(tmp_path: Path) -> None:
    visa_dataset(tmp_path)
    (tmp_path / "candle/Data/Images/Normal/003.png").unlink()
    (tmp_path / "candle/Data/Masks/Anomaly/001.png").unlink()

    message = _error(tmp_path, "candle", "visa")

    assert "Normal/003.png: No such file" in message
    assert "Masks/Anomaly/001.png: No such file" in message


@pytest.mark.parametrize(
    ("good", "defects", "note"),
    [
        pytest.param(0, {"crack": 2}, "no good test image", id="defective only"),
        pytest.param(2, {}, "no anomalous test image", id="good only"),
    ],
)
def test_one_kind_of_test_image_is_noted(
    tmp_path: Path, good: int, defects: dict[str, int], note: str
) -> None:
    mvtec_category(tmp_path, good=good, defects=defects)

    notes = build_manifest(tmp_path, "widget", "mvtec_ad", DEFAULT).notes

    assert len(notes) == 1
    assert note in notes[0]


def test_missing_and_empty_masks_are_noted(tmp_path: Path) -> None:
    folder = mvtec_category(tmp_path, defects={"crack": 4})
    (folder / "ground_truth/crack/001_mask.png").unlink()
    save(folder / "ground_truth/crack/002_mask.png", np.zeros((16, 16), np.uint8))

    prepared = build_manifest(tmp_path, "widget", "mvtec_ad", DEFAULT)

    missing, empty = prepared.notes
    assert missing.startswith("1 of 4 anomalous images have no mask: widget/test/crack/001.png")
    assert empty.startswith("1 masks of anomalous images are empty: widget/test/crack/002.png")
    masks = {record.path: record.mask for record in prepared.manifest.records if record.label}
    assert masks["widget/test/crack/001.png"] is None
    assert masks["widget/test/crack/002.png"] is not None


def test_odd_data_are_noted(tmp_path: Path, rng: np.random.Generator) -> None:
    folder = mvtec_category(tmp_path)
    save(folder / "test/crack/009.jpg", texture(rng, channels=1))
    (folder / "test/dent").mkdir()
    copied = (folder / "test/good/000.png").read_bytes()
    (folder / "test/dent/000.png").write_bytes(copied)
    (folder / "train/good/notes.webp").write_text("")

    notes = "\n".join(build_manifest(tmp_path, "widget", "mvtec_ad", DEFAULT).notes)

    assert "stored otherwise (jpg 8-bit grey, png 8-bit RGB)" in notes
    assert "labelled good (widget/test/good/000.png) and dent" in notes
    assert "1 entries are not read: widget/train/good/notes.webp" in notes
