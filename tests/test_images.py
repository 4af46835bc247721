import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from builders import save, texture
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from clflow.data.images import (
    fitted_size,
    read_image,
    read_mask,
    read_stored,
    resize_image,
    resize_mask,
    to_rgb8,
    write_png,
)
from clflow.errors import DataError, StorageError


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _png(
    width: int, height: int, color_type: int, rows: list[bytes], palette: bytes = b""
) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    colors = chunk(b"PLTE", palette) if palette else b""
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + colors
    return start + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff", ".PNG"])
def test_lossless_formats_give_the_written_rgb_pixels(
    tmp_path: Path, rng: np.random.Generator, suffix: str
) -> None:
    pixels = texture(rng, (5, 7))

    image = read_image(save(tmp_path / f"a{suffix}", pixels))

    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, pixels)


def test_jpeg_channels_are_red_green_blue(tmp_path: Path) -> None:
    pixels = np.full((16, 16, 3), (200, 100, 20), np.uint8)

    image = read_image(save(tmp_path / "a.jpg", pixels))

    assert np.abs(image.astype(int) - pixels).max() <= 3


def test_non_ascii_paths_can_be_read_and_written(tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = texture(rng)

    write_png(tmp_path / "Prüfung" / "größe_図.png", pixels)

    np.testing.assert_array_equal(read_image(tmp_path / "Prüfung" / "größe_図.png"), pixels)


def test_grey_becomes_three_equal_channels(tmp_path: Path, rng: np.random.Generator) -> None:
    grey = texture(rng, (4, 6), channels=1)

    image = read_image(save(tmp_path / "a.png", grey))

    np.testing.assert_array_equal(image, np.dstack([grey, grey, grey]))


def test_alpha_is_dropped_not_blended(tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = texture(rng, channels=4)

    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", pixels)), pixels[..., :3])


def test_palette_colors_are_expanded(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(_png(2, 1, 3, [bytes([1, 0])], palette=bytes([0, 0, 0, 255, 10, 20])))

    np.testing.assert_array_equal(read_image(path), [[[255, 10, 20], [0, 0, 0]]])


@pytest.mark.parametrize(
    ("stored", "expected"),
    [(0, 0), (128, 0), (129, 1), (257, 1), (32767, 127), (32768, 128), (65535, 255)],
)
def test_16_bit_values_are_divided_by_257_and_rounded(
    tmp_path: Path, stored: int, expected: int
) -> None:
    path = save(tmp_path / "a.png", np.full((2, 2), stored, np.uint16))

    assert read_image(path).tolist() == [[[expected] * 3] * 2] * 2


def test_every_16_bit_value_matches_exact_division() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)

    exact = np.floor(values.astype(np.float64) / 257 + 0.5)

    np.testing.assert_array_equal(to_rgb8(values)[..., 0], exact)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "No such file", id="missing"),
        pytest.param(b"", "empty", id="zero bytes"),
        pytest.param(b"not an image at all", "damaged", id="text"),
        pytest.param(_png(1, 1, 0, [b"\0"])[:-20], "damaged", id="truncated"),
        pytest.param(_png(100_000, 100_000, 0, [b"\0"]), "10,000,000,000 pix", id="too large"),
    ],
)
def test_unreadable_files_name_the_file_and_the_reason(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(DataError, match=message) as caught:
        read_image(path)

    assert str(path) in str(caught.value)


def test_a_folder_is_not_an_image(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="directory"):
        read_image(tmp_path)


def test_other_depths_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", np.zeros((2, 2), np.float32))

    with pytest.raises(DataError, match=r"float32.*8 and 16 bits"):
        read_image(path)


def test_stored_depth_and_channels_are_kept(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.full((2, 3), 1000, np.uint16))

    assert read_stored(path).dtype == np.uint16
    assert read_stored(path).shape == (2, 3)


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(np.array([[0, 255, 1]], np.uint8), id="grey"),
        pytest.param(np.array([[0, 1, 65535]], np.uint16), id="16-bit, below one 8-bit level"),
        pytest.param(np.array([[[0, 0, 0], [0, 0, 1], [9, 0, 0]]], np.uint8), id="any channel"),
        pytest.param(
            np.array([[[0, 0, 0, 255], [0, 7, 0, 255], [1, 0, 0, 0]]], np.uint8), id="alpha ignored"
        ),
    ],
)
def test_any_non_zero_color_is_defect(tmp_path: Path, pixels: NDArray[Any]) -> None:
    mask = read_mask(save(tmp_path / "m.png", pixels), (1, 3))

    assert mask.dtype == np.bool_
    assert mask.tolist() == [[False, True, True]]


def test_mask_of_another_size_names_both_sizes(tmp_path: Path) -> None:
    path = save(tmp_path / "m.png", np.zeros((4, 6), np.uint8))

    with pytest.raises(DataError, match=r"6x4.*4x6"):
        read_mask(path, (6, 4))


def test_shrinking_averages_over_areas(rng: np.random.Generator) -> None:
    image = texture(rng, (6, 8))

    means = image.reshape(3, 2, 4, 2, 3).astype(float).mean(axis=(1, 3))

    assert np.abs(resize_image(image, 3, 4) - means).max() <= 0.5


def test_enlarging_is_cubic_and_stays_in_range() -> None:
    edge = np.zeros((8, 8, 3), np.uint8)
    edge[:, 4:] = 255

    image = resize_image(edge, 16, 16)

    assert image.shape == (16, 16, 3)
    linear = cv2.resize(edge, (16, 16), interpolation=cv2.INTER_LINEAR)
    assert 0 < image[0, 7, 0] < linear[0, 7, 0]
    assert image[0, :4].max() == 0
    assert image[0, -4:].min() == 255


def test_same_size_changes_nothing(rng: np.random.Generator) -> None:
    image = texture(rng, (5, 7))

    np.testing.assert_array_equal(resize_image(image, 5, 7), image)


sides = st.integers(1, 9)


def _sources(old: int, new: int) -> tuple[list[int], list[int]]:
    """Return the new indices whose nearest old index is unique, and that index."""
    kept = [index for index in range(new) if (2 * index + 1) * old % (2 * new) != 0]
    return kept, [(2 * index + 1) * old // (2 * new) for index in kept]


@given(sides, sides, sides, sides, st.integers(0, 99))
def test_resized_masks_take_the_nearest_pixel(
    height: int, width: int, new_height: int, new_width: int, seed: int
) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.5
    new_rows, rows = _sources(height, new_height)
    new_columns, columns = _sources(width, new_width)

    resized = resize_mask(mask, new_height, new_width)

    assert resized.dtype == np.bool_
    np.testing.assert_array_equal(
        resized[np.ix_(new_rows, new_columns)], mask[np.ix_(rows, columns)]
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_written_png_reads_back(tmp_path: Path, rng: np.random.Generator, channels: int) -> None:
    pixels = texture(rng, channels=channels)

    write_png(tmp_path / "new" / "a.png", pixels)

    np.testing.assert_array_equal(read_stored(tmp_path / "new" / "a.png"), pixels)


def test_written_mask_is_0_and_255(tmp_path: Path) -> None:
    mask = np.array([[True, False]])

    write_png(tmp_path / "m.png", mask)

    assert read_stored(tmp_path / "m.png").tolist() == [[255, 0]]
    assert read_mask(tmp_path / "m.png", (1, 2)).tolist() == mask.tolist()


def test_a_png_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")

    with pytest.raises(StorageError):
        write_png(blocker / "a.png", texture(rng))

    assert list(tmp_path.iterdir()) == [blocker]


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(16, 600))
def test_a_fitted_size_keeps_area_and_aspect_and_is_its_own(
    height: int, width: int, side: int
) -> None:
    fitted = fitted_size(height, width, side)
    assert fitted_size(*fitted, side) == fitted
    assert fitted_size(width, height, side) == fitted[::-1]
    short, long = sorted(fitted)
    exact = side * (min(height, width) / max(height, width)) ** 0.5
    assert short == side or short % 8 == 0
    assert abs(short - exact) <= 4 or short == 8
    assert abs(short * long - side * side) <= short


@pytest.mark.parametrize("side", [16, 36, 250, 256])
def test_a_square_image_fits_a_square(side: int) -> None:
    assert fitted_size(900, 900, side) == (side, side)
