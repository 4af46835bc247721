"""What `prepare` ignores: the mask of a category and the border, and what is wrong with them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from marked_images import record, square, two_good_two_bad
from numpy.typing import NDArray
from pydantic import ValidationError
from strange import SIDE, bottle, bottles, change, flat_bottles, put
from strange_cases import notes, pictures_of, prepare, refused

from clflow.data.ignoring import Ignoring, misfits
from clflow.data.manifest import build_manifest
from clflow.data.preparation import PrepareSettings
from clflow.data.reading import Ignored, reading_text
from clflow.data.records import Manifest, Record, record_image, record_mask, region_of
from clflow.data.region_of_interest import RegionOfInterest
from clflow.errors import DataError
from clflow.files import sha256_of
from clflow.pipeline.inputs import image_files
from clflow.pipeline.measure import LabelledImages, map_peaks, protocol
from clflow.pipeline.settings import EvaluateSettings

CORNER = np.zeros((SIDE // 2, SIDE // 2), np.uint8)
CORNER[:20, :25] = 255
IGNORE = {"ignore": "ignore.png", "border": 4}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "parts"


def counted() -> NDArray[np.bool_]:
    """Return which pixels of a bottle count with `CORNER` and a border of 4."""
    inner = np.zeros((SIDE, SIDE), bool)
    inner[4:-4, 4:-4] = True
    return inner & (CORNER == 0).repeat(2, axis=0).repeat(2, axis=1)


@pytest.mark.parametrize("layout", ["mvtec_ad", "folder"])
def test_the_mask_of_a_category_is_no_stray_file(root: Path, layout: str) -> None:
    folder = bottles(root) if layout == "mvtec_ad" else flat_bottles(root)
    plain = prepare(root, layout)
    mask = put(folder / "ignore.png", CORNER)
    assert "pictures outside of any folder" in notes(root, layout)
    found = prepare(root, layout, **IGNORE)
    assert found.notes == plain.notes
    text = f"border=4,ignored=bottle/ignore.png,sha256={sha256_of(mask)}"
    assert {one.reading for one in found.manifest.records} == {text}
    assert found.manifest.digest != plain.manifest.digest


def test_a_category_without_the_mask_is_used_whole(root: Path) -> None:
    bottles(root)
    plain = prepare(root)
    found = prepare(root, ignore="ignore.png")
    assert found.manifest == plain.manifest
    assert found.notes[0] == (
        "there is no ignore.png (prepare.ignore) in bottle: its images are used whole"
    )
    bordered = prepare(root, **IGNORE)
    assert "used whole but for 4 pixels of border" in bordered.notes[0]
    assert {one.reading for one in bordered.manifest.records} == {"border=4"}
    put(root / "bottle/ignore.png", np.zeros((SIDE, SIDE), np.uint8))
    black = prepare(root, ignore="ignore.png")
    assert "is black all over: it ignores nothing" in black.notes[0]
    assert black.manifest == plain.manifest


@pytest.mark.parametrize(
    ("make", "given_border", "message"),
    [
        (lambda path: path.write_bytes(b"no picture"), 0, "is damaged or no PNG"),
        (lambda path: path.write_bytes(b""), 0, "the file is empty"),
        (lambda path: put(path.with_suffix(".jpg"), CORNER).rename(path), 0, "is no PNG: save it"),
        (lambda path: put(path, np.full_like(CORNER, 9)), 0, "ignores 100.0% of an image"),
        (lambda path: put(path, CORNER[:40]), 0, "is 64x40 but image bottle/"),
        (lambda path: None, 64, "prepare.border"),
        (lambda path: put(path, CORNER), 64, "prepare.border"),
    ],
    ids=["text", "empty", "jpeg", "all", "aspect", "border", "both"],
)
def test_a_mask_that_cannot_be_used_is_one_error(
    root: Path, make: Any, given_border: int, message: str
) -> None:
    make(bottles(root) / "ignore.png")
    told = refused(root, ignore="ignore.png", border=given_border)
    assert "1 problem(s)" in told
    assert message in told


def test_a_mask_whose_path_no_manifest_can_hold_is_refused(root: Path) -> None:
    put(bottles(root / "a,b") / "ignore.png", CORNER)
    assert prepare(root / "a,b", **IGNORE).manifest.train
    with pytest.raises(DataError, match=r"the path of the mask .* has a comma"):
        build_manifest(root / "a,b", "bottle", "mvtec_ad", PrepareSettings(**IGNORE), root)


@pytest.mark.parametrize(
    "name", ["ignore", "ignore.jpg", "a/ignore.png", "..\\i.png", "a,b.png", "", ".png"]
)
def test_the_mask_is_named_by_a_png_inside_the_folder(name: str) -> None:
    with pytest.raises(ValidationError, match="give the name of a PNG in the folder"):
        PrepareSettings(ignore=name)


@given(st.integers(8, 400), st.integers(8, 400), st.floats(0.1, 8))
def test_a_mask_may_have_any_size_at_the_aspect_of_the_images(h: int, w: int, scale: float) -> None:
    size = max(1, round(h * scale)), max(1, round(w * scale))
    mask = np.eye(*size, dtype=bool) & (np.arange(size[0]) > 0)[:, None]
    ignoring = Ignoring(RegionOfInterest(mask), Path("ignore.png"))
    assert misfits(ignoring, {(h, w): "a.png"}).problems == ()
    wider = misfits(ignoring, {(h, 2 * w): "a.png"}).problems
    assert len(wider) == (1 if min(size) > 2 else len(wider))


def test_what_is_ignored_has_no_say_in_the_draw_the_depth_and_the_copies(root: Path) -> None:
    folder = bottles(root)
    put(folder / "ignore.png", CORNER)
    change(pictures_of(folder), lambda image: image.astype(np.uint16)[..., 0] * 16)
    plain = prepare(root, **IGNORE)
    generator = np.random.default_rng(1)

    def noisy(image: NDArray[Any]) -> NDArray[Any]:
        noise = generator.integers(0, 65536, image.shape)
        return np.where(counted(), image, noise).astype(np.uint16)

    change(pictures_of(folder), noisy)
    found = prepare(root, **IGNORE)
    assert found.notes == plain.notes
    for one, two in zip(found.manifest.records, plain.manifest.records, strict=True):
        assert one.sha256 != two.sha256
        assert (one.path, one.split, one.reading) == (two.path, two.split, two.reading)
        assert one.reading.startswith("white=4095,border=4,ignored=")


def test_a_copy_with_another_serial_number_is_a_copy(root: Path) -> None:
    folder = bottles(root)
    put(folder / "ignore.png", CORNER)
    put(folder / "test/good/777.png", np.where(counted()[..., None], bottle(3), 255))
    told = refused(root, **IGNORE)
    assert "test/good/777.png is identical to training image bottle/train/good/003.png" in told


def test_images_and_masks_are_read_without_what_is_ignored(root: Path) -> None:
    put(bottles(root) / "ignore.png", CORNER)
    records = prepare(root, **IGNORE).manifest.test
    images, plain = image_files(root, records), prepare(root).manifest.test
    for place, (one, other) in enumerate(zip(records, plain, strict=True)):
        image = record_image(one, root)
        np.testing.assert_array_equal(images[place], image)
        np.testing.assert_array_equal(image[counted()], record_image(other, root)[counted()])
        assert (image[~counted()] == 128).all()
        mask, whole = record_mask(one, root), record_mask(other, root)
        assert (mask is None) == (whole is None)
        if mask is not None and whole is not None:
            np.testing.assert_array_equal(mask, whole & counted())
    assert not set(images.digests) & set(image_files(root, plain).digests)


def test_a_mask_that_changed_after_prepare_is_named(root: Path) -> None:
    mask = put(bottles(root) / "ignore.png", CORNER)
    records = prepare(root, **IGNORE).manifest.train
    put(mask, CORNER.T.copy())
    with pytest.raises(DataError, match="differs from its manifest: run `dvc repro`"):
        image_files(root, records)
    mask.unlink()
    with pytest.raises(DataError, match=r"cannot read image .*: No such file"):
        region_of(records, root)
    odd = replace(records[0], reading="border=1")
    with pytest.raises(DataError, match="ignore different pixels"):
        region_of([*records, odd], root)


def ignoring_edges(records: tuple[Record, ...], border: int) -> tuple[Record, ...]:
    text = reading_text(records[0].how(), Ignored(border))
    return tuple(replace(one, reading=text) for one in records)


def test_metrics_take_the_lowest_value_where_pixels_are_ignored(tmp_path: Path) -> None:
    """A border is meant in pixels of the image, also on a map of a quarter of its size."""
    records = ignoring_edges(two_good_two_bad(tmp_path), 2)
    images = LabelledImages.read(records, tmp_path)
    height, width = records[0].height, records[0].width
    assert images.region is not None
    ignored = images.region.at(height, width)
    own = np.random.default_rng(0).random((height // 2, width // 2)).astype(np.float32)
    small, large = images.lowered(records[0], own), images.own(records[0], own)
    assert (large[ignored] == large[~ignored].min()).all()
    edge = np.ones(own.shape, bool)
    edge[1:-1, 1:-1] = False
    np.testing.assert_array_equal(small[~edge], own[~edge])
    assert (small[edge] == own[~edge].min()).all()
    bright = own.copy()
    bright[edge] = 9
    assert map_peaks(records[:1], bright[None]) == 9
    assert (
        map_peaks(records[:1], bright[None], images.region) == images.own(records[0], bright).max()
    )
    rules = protocol(EvaluateSettings(), (8, 8), images.region)
    assert rules["ignored"].startswith("2 pixels from each edge: painted over in every image")
    assert "ignored" not in protocol(EvaluateSettings(), (8, 8))


def test_a_defect_wholly_in_what_is_ignored_is_counted(tmp_path: Path) -> None:
    corner = np.zeros_like(square())
    corner[:2, :2] = 255
    edge, inner = record(tmp_path, "e", 1, corner), record(tmp_path, "f", 1, square())
    bare = record(tmp_path, "g", 1)
    for border, expected in ((0, (1, 0)), (2, (2, 1))):
        images = LabelledImages.read(ignoring_edges((edge, inner, bare), border), tmp_path)
        assert (images.without_mask, images.wholly_ignored) == expected
    assert Manifest("part", (edge, inner)).has_masks
