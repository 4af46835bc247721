"""Object or texture: synthetic cases whose answer is known."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from clflow.errors import DataError
from clflow.synthesis.background import measure_background, object_mask, spread

Image = NDArray[np.uint8]

SIDE = 128
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]
RADIUS = np.hypot(ROWS - SIDE / 2, COLUMNS - SIDE / 2)


def grey(levels: NDArray[np.float64]) -> Image:
    return np.repeat(levels.clip(0, 255).round().astype(np.uint8)[..., None], 3, axis=2)


def noise(sigma: float, blur: float = 0.0) -> list[Image]:
    rng = np.random.default_rng(0)
    fields = [ndimage.gaussian_filter(rng.normal(0, 1, (SIDE, SIDE)), blur) for _ in range(5)]
    return [grey(120 + sigma * field / field.std()) for field in fields]


def disks(radius: float, level: float, ground: float) -> list[Image]:
    rng = np.random.default_rng(1)
    clean = np.where(radius > RADIUS, level, ground)
    return [grey(clean + rng.normal(0, 4, clean.shape)) for _ in range(5)]


@pytest.mark.parametrize(
    ("radius", "level", "ground"),
    [
        pytest.param(30, 90, 200, id="dark-on-bright"),
        pytest.param(30, 180, 20, id="bright-on-dark"),
        pytest.param(54, 90, 200, id="large"),
        pytest.param(12, 90, 200, id="small"),
    ],
)
def test_disk_on_plain_ground_is_an_object(radius: float, level: float, ground: float) -> None:
    measured = measure_background(disks(radius, level, ground))
    assert measured.kind == "object"
    assert measured.reason.startswith("object")
    assert measured.brightness == pytest.approx(ground, abs=2)
    assert 8 < measured.threshold < abs(level - ground)
    assert measured.foreground == pytest.approx(np.pi * radius**2 / SIDE**2, rel=0.1)
    assert measured.frame_foreground == 0
    assert measured.images == 5


@pytest.mark.parametrize(
    "images",
    [
        pytest.param(noise(20), id="fine-noise"),
        pytest.param(noise(30, blur=3), id="blotches"),
        pytest.param(noise(30, blur=12), id="large-blotches"),
        pytest.param([grey(60 + COLUMNS)] * 3, id="ramp"),
        pytest.param([grey(120 + 60 * np.sin(COLUMNS / 3))] * 3, id="stripes"),
        pytest.param([grey(np.full((SIDE, SIDE), 90.0))], id="flat"),
        pytest.param([grey(np.full((SIDE, SIDE), v)) for v in (60.0, 90.0, 140.0)], id="lighting"),
        pytest.param(disks(30, 117, 120), id="too-faint-an-object"),
    ],
)
def test_what_fills_the_image_is_a_texture(images: list[Image]) -> None:
    measured = measure_background(images)
    assert measured.kind == "texture"
    assert measured.threshold >= 5


def test_foreground_of_more_than_nine_tenths_is_a_texture() -> None:
    image = np.full((512, 512, 3), 30, np.uint8)
    image[10:-10, 10:-10] = 200
    measured = measure_background([image])
    assert measured.foreground > 0.9
    assert measured.kind == "texture"
    assert "fills" in measured.reason


def test_object_mask_is_the_object_without_single_pixels() -> None:
    image = grey(np.where(RADIUS < 30, 90.0, 200.0))
    image[5, 5] = 0
    mask = object_mask(image, 200, 60)
    assert not mask[5, 5]
    assert (mask != (RADIUS < 30)).mean() < 0.005


def test_object_mask_needs_more_than_the_threshold() -> None:
    assert not object_mask(grey(np.full((9, 9), 140.0)), 200, 60).any()
    assert object_mask(grey(np.full((9, 9), 139.0)), 200, 60).all()


def test_only_twenty_images_are_measured() -> None:
    assert measure_background(disks(30, 90, 200) * 6).images == 20
    assert spread(range(100), 3) == [0, 50, 99]
    assert spread(range(2), 3) == [0, 1]


def test_no_image_is_refused() -> None:
    with pytest.raises(DataError, match="without images"):
        measure_background([])
