from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from clflow.data.demo import render as sample
from clflow.data.demo.bolt import draw_bolt
from clflow.data.demo.render import (
    CATEGORIES,
    LEAST_CONTRAST,
    MASK_LEVEL,
    DemoSettings,
    Exposure,
    ImageKey,
    expose_scene,
    image_keys,
    render,
    render_demo,
)
from clflow.data.demo.scene import Camera, Light, Surface, expose, shade
from clflow.data.demo.washer import draw_washer
from clflow.errors import DataError

SIZE = 64
TINY = DemoSettings(image_size=SIZE, train=2, test_good=1, per_defect=1)
CAMERA = Camera(gain=1, vignetting=0, blur=0.5, noise=1)
DEFECTS = [
    pytest.param(category, defect, id=f"{category}-{defect}")
    for category, provider in CATEGORIES.items()
    for defect in provider.defects
]


def read_tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")
    }


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("demo")
    render_demo(target, seed=0, settings=TINY)
    return target


def test_layout_is_that_of_mvtec_ad(tiny: Path) -> None:
    counts = Counter(Path(name).parent.as_posix() for name in read_tree(tiny))
    expected = {}
    for category, provider in CATEGORIES.items():
        expected |= {f"{category}/train/good": 2, f"{category}/test/good": 1}
        for defect in provider.defects:
            expected |= {
                f"{category}/test/{defect}": 1,
                f"{category}/ground_truth/{defect}": 1,
            }
    assert counts == expected
    assert (tiny / "bolt/test/rust/000.png").is_file()
    assert (tiny / "bolt/ground_truth/rust/000_mask.png").is_file()


def test_files_hold_what_was_rendered(tiny: Path) -> None:
    image, mask = render(ImageKey(0, "weave", "test", 0, "stain"), SIZE)
    written = cv2.imread(str(tiny / "weave/test/stain/000.png"), cv2.IMREAD_UNCHANGED)
    written_mask = cv2.imread(
        str(tiny / "weave/ground_truth/stain/000_mask.png"), cv2.IMREAD_UNCHANGED
    )
    assert image.dtype == written.dtype == np.uint8
    np.testing.assert_array_equal(written[..., ::-1], image)
    np.testing.assert_array_equal(written_mask, mask)


def test_an_image_does_not_depend_on_how_many_are_rendered(tiny: Path, tmp_path: Path) -> None:
    more = TINY.model_copy(update={"train": 3, "test_good": 2, "categories": ("washer",)})
    render_demo(tmp_path, seed=0, settings=more)
    few = {name: data for name, data in read_tree(tiny).items() if name.startswith("washer/")}
    many = read_tree(tmp_path)
    assert len(many) == len(few) + 2
    assert {name: many[name] for name in few} == few


def test_another_seed_gives_other_images(tiny: Path, tmp_path: Path) -> None:
    render_demo(tmp_path, seed=1, settings=TINY.model_copy(update={"categories": ("bolt",)}))
    first, second = read_tree(tiny), read_tree(tmp_path)
    assert all(first[name] != data for name, data in second.items())


def test_rendering_replaces_a_category_and_leaves_the_others(tmp_path: Path) -> None:
    stale, other = tmp_path / "weave/train/good/999.png", tmp_path / "mine/note.txt"
    for path in (stale, other):
        path.parent.mkdir(parents=True)
        path.write_text("x")
    render_demo(tmp_path, settings=TINY.model_copy(update={"categories": ("weave",)}))
    assert not stale.exists()
    assert other.exists()


@pytest.mark.parametrize(("category", "defect"), DEFECTS)
@pytest.mark.parametrize("size", [SIZE, 128])
def test_mask_is_what_the_defect_changes(category: str, defect: str, size: int) -> None:
    exposure = expose_scene(ImageKey(3, category, "test", 0, defect), size)
    mask, difference = exposure.mask(), exposure.difference()
    assert mask.shape == (size, size)
    assert set(np.unique(mask)) == {0, 255}
    assert difference[mask == 0].max() <= MASK_LEVEL
    assert difference[mask > 0].mean() > LEAST_CONTRAST
    unchanged = (difference <= MASK_LEVEL).astype(np.uint8)
    to_change = cv2.distanceTransform(unchanged, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    assert to_change[mask > 0].max() <= np.sqrt(2)


@pytest.mark.parametrize("category", CATEGORIES)
def test_good_images_have_no_mask_and_differ_from_each_other(category: str) -> None:
    samples = [render(ImageKey(0, category, "train", index), SIZE) for index in range(6)]
    assert all(mask is None for _, mask in samples)
    smooth = [cv2.blur(image.astype(np.float32), (3, 3)) for image, _ in samples]
    gaps = [np.abs(a - b).mean() for i, a in enumerate(smooth) for b in smooth[:i]]
    assert min(gaps) > 1


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_mean_image_does_not_solve_the_category(category: str) -> None:
    settings = DemoSettings(image_size=SIZE, train=40, test_good=16, per_defect=4)
    keys = list(image_keys(category, 0, settings))
    images = np.stack([render(key, SIZE)[0].mean(axis=2) for key in keys])
    train = np.array([key.split == "train" for key in keys])
    deviation = np.abs(images - images[train].mean(axis=0)) / (images[train].std(axis=0) + 1)
    labels = [bool(key.defect) for key in keys if key.split == "test"]
    for score in (deviation.max(axis=(1, 2)), deviation.mean(axis=(1, 2))):
        assert 0.25 < roc_auc_score(labels, score[~train]) < 0.85


def test_plates_are_aligned_and_bolts_are_not() -> None:
    rng = np.random.default_rng(0)
    plates = [draw_washer(rng, 16) for _ in range(50)]
    assert max(abs(plate.angle) for plate in plates) <= np.deg2rad(8)
    assert np.abs([plate.center for plate in plates]).max() < 15 / 256
    angles = np.array([draw_bolt(rng, 16).pose.angle for _ in range(200)])
    assert np.histogram(angles, bins=8, range=(0, 2 * np.pi))[0].min() > 5


def test_a_defect_that_cannot_be_seen_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "LEAST_CONTRAST", 300)
    with pytest.raises(DataError, match=r"washer dent 5: none of \d+ draws shows at image_size 64"):
        expose_scene(ImageKey(0, "washer", "test", 5, "dent"), SIZE)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"categories": ("bottle",)}, id="unknown category"),
        pytest.param({"categories": ()}, id="no category"),
        pytest.param({"image_size": 16}, id="too small"),
        pytest.param({"train": 0}, id="no training image"),
        pytest.param({"colour": "red"}, id="unknown setting"),
    ],
)
def test_settings_are_checked(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DemoSettings.model_validate(changes)


def exposure_of_changes(*pixels: tuple[int, int], level: float = 5) -> Exposure:
    flawless = np.full((SIZE, SIZE, 3), 100, np.float32)
    defective = flawless.copy()
    for row, column in pixels:
        defective[row, column, 1] -= level
    return Exposure(flawless, defective, CAMERA)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        pytest.param([(20, 20)], [(20, 20)], id="one pixel stays one"),
        pytest.param([(0, 0)], [(0, 0)], id="nothing grows at the border"),
        pytest.param(
            [(8, 21), (9, 20), (9, 22), (10, 21)],
            [(8, 21), (9, 20), (9, 21), (9, 22), (10, 21)],
            id="a pinhole is closed",
        ),
        pytest.param([(9, 20), (9, 26)], [(9, 20), (9, 26)], id="distant pixels stay apart"),
    ],
)
def test_mask_by_hand(pixels: list[tuple[int, int]], expected: list[tuple[int, int]]) -> None:
    mask = exposure_of_changes(*pixels).mask()
    assert [tuple(index) for index in np.argwhere(mask)] == expected


def test_a_change_of_exactly_the_level_is_not_masked() -> None:
    assert not exposure_of_changes((20, 20), level=MASK_LEVEL).mask().any()


def test_a_tilted_matt_plane_follows_lamberts_law() -> None:
    light = Light(azimuth=0.4, elevation=0.9, ambient=0.3, falloff=(0, 0), color=(1, 1, 1))
    x = np.tile(np.arange(32, dtype=np.float32) / 32, (32, 1))
    surface = Surface(0.5 * x, np.full((3, 1, 1), 0.6, np.float32), np.zeros_like(x), shininess=8)
    normal = np.array([-0.5, 0, 1]) / np.hypot(0.5, 1)
    cosine = normal @ light.direction
    expected = 0.6 * (0.3 * normal[2] + 0.7 * cosine / np.sin(0.9))
    np.testing.assert_allclose(shade(surface, light)[:, 4:-4, 4:-4], expected, rtol=1e-4)


def test_a_lens_darkens_the_corners_only() -> None:
    flat = np.full((3, 2 * SIZE, 2 * SIZE), 0.5, np.float32)
    levels = expose(flat, replace(CAMERA, vignetting=0.2))
    assert levels.shape == (SIZE, SIZE, 3)
    np.testing.assert_allclose(levels[SIZE // 2, SIZE // 2], 255 * np.tanh(0.5), rtol=1e-3)
    np.testing.assert_allclose(levels[0, 0], 255 * np.tanh(0.5 * 0.8), rtol=1e-2)
