"""Headers of image files, against Pillow: size, pages, orientation; nothing hostile hangs."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import texture
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from clflow.data.decoding import MAX_PIXELS
from clflow.data.headers import is_picture, other_format, read_header
from clflow.data.images import read_image, read_stored
from clflow.errors import DataError

PIXELS = texture(np.random.default_rng(0), (24, 40))
FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
TAGGED = ("PNG", "JPEG", "TIFF")


def encoded(form: str, pixels: np.ndarray = PIXELS, orientation: int = 1, **given: Any) -> bytes:
    """Return an image file of Pillow's."""
    exif = Image.Exif()
    exif[274] = orientation
    file = io.BytesIO()
    if form != "BMP":
        given["exif"] = exif
    Image.fromarray(pixels).save(file, form, **given)
    return file.getvalue()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("shape", [(24, 40), (1, 1), (300, 7)])
def test_format_and_size_are_read(form: str, shape: tuple[int, int]) -> None:
    header = read_header(encoded(form, texture(np.random.default_rng(1), shape)))
    assert header is not None
    assert (header.format, header.height, header.width) == (form, *shape)
    assert (header.pages, header.orientation) == (1, 1)


@pytest.mark.parametrize("form", TAGGED)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_viewers_do(tmp_path: Path, form: str, orientation: int) -> None:
    path = tmp_path / f"a.{form}"
    path.write_bytes(encoded(form, orientation=orientation))
    # Pillow turns TIFF files as it reads them
    stored = np.asarray(Image.open(path)) if form == "JPEG" else PIXELS
    image = Image.fromarray(stored)
    image.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    gap = 3 if form == "JPEG" else 0
    assert np.abs(read_image(path).astype(int) - expected).max() <= gap
    assert np.abs(read_stored(path, upright=False).astype(int) - stored).max() <= gap


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_grey_tiff_files_are_turned_once(
    tmp_path: Path, depth: type[np.generic], orientation: int
) -> None:
    grey = PIXELS[..., 0].astype(depth)
    (tmp_path / "a.tif").write_bytes(encoded("TIFF", grey, orientation))
    image = Image.fromarray(grey)
    image.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(read_stored(tmp_path / "a.tif"), expected)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize("pages", [1, 2, 5])
def test_pages_and_frames_are_counted(form: str, pages: int) -> None:
    rng = np.random.default_rng(2)
    others = [Image.fromarray(texture(rng, (24, 40))) for _ in range(pages - 1)]
    content = encoded(form, save_all=True, append_images=others)
    header = read_header(content)
    assert header is not None
    assert header.pages == pages


def test_a_thumbnail_is_no_page() -> None:
    file = io.BytesIO()
    small = Image.fromarray(PIXELS[:6, :10])
    small.encoderinfo = {"tiffinfo": {254: 1}}
    Image.fromarray(PIXELS).save(file, "TIFF", save_all=True, append_images=[small])
    header = read_header(file.getvalue())
    assert header is not None
    assert (header.pages, header.height) == (1, 24)


@pytest.mark.parametrize(
    ("form", "name"), [("GIF", "GIF"), ("WEBP", "WebP"), ("JPEG2000", "JPEG 2000")]
)
def test_formats_that_are_not_read_are_named(tmp_path: Path, form: str, name: str) -> None:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, form)
    assert (read_header(file.getvalue()), other_format(file.getvalue())) == (None, name)
    (tmp_path / "a.png").write_bytes(file.getvalue())
    with pytest.raises(DataError, match=f"{name} is not read; convert it to PNG"):
        read_image(tmp_path / "a.png")


def test_text_is_no_picture() -> None:
    assert not any(map(is_picture, (b"", b"BMW is a make", b"image,label\n", b"RIFF....WAVE")))
    assert all(is_picture(encoded(form)) for form in FORMATS)


def test_a_limit_of_pixels_is_kept_before_anything_is_decoded(tmp_path: Path) -> None:
    huge = bytearray(encoded("PNG"))
    struct.pack_into(">II", huge, 16, 30_000, 30_000)
    (tmp_path / "a.png").write_bytes(huge)
    with pytest.raises(
        DataError, match=r"30000 x 30000 = 900,000,000 pixels.*raise prepare.max_pixels"
    ):
        read_image(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes(encoded("PNG"))
    assert read_image(tmp_path / "a.png", max_pixels=24 * 40).shape == (24, 40, 3)
    with pytest.raises(DataError, match="more than the 959 that"):
        read_image(tmp_path / "a.png", max_pixels=24 * 40 - 1)
    assert MAX_PIXELS < 900_000_000


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FORMATS), st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_damaged_headers_are_read_or_none(form: str, place: int, damage: bytes) -> None:
    content = bytearray(encoded(form, orientation=6 if form != "BMP" else 1))
    content[place : place + len(damage)] = damage
    header = read_header(bytes(content))
    assert header is None or 1 <= header.orientation <= 8


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([b"II*\0", b"MM\0*", b"II+\0", b"\xff\xd8"]), st.binary(max_size=200))
def test_any_bytes_are_read_or_none(start: bytes, rest: bytes) -> None:
    read_header(start + rest)
