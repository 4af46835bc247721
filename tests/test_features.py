"""Features are computed once and found again by content."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flow_cases import grain
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clflow.data.images import ArrayImages, resize_image
from clflow.errors import DataError
from clflow.features import store as module
from clflow.features.backbone import Backbone, build_backbone
from clflow.features.registry import BackboneSettings
from clflow.features.store import FeatureStore, Upsampling, as_levels, resample

IMAGES = ArrayImages(grain(5, 0))
UPSAMPLING: tuple[Upsampling, ...] = ("nearest", "bilinear")


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return build_backbone(BackboneSettings(name="efficientnet_lite0"))


@pytest.fixture(scope="module")
def store(backbone: Backbone) -> FeatureStore:
    return FeatureStore(backbone, 64, torch.device("cpu"))


def test_cached_and_fresh_features_are_equal(store: FeatureStore, tmp_path: Path) -> None:
    fresh = store.features(IMAGES, "fresh", None)
    cached = store.features(IMAGES, "cached", tmp_path)
    assert [level.shape for level in fresh] == [(5, 24, 16, 16), (5, 40, 8, 8), (5, 112, 4, 4)]
    assert all(map(np.array_equal, fresh, cached))


def test_the_backbone_runs_once_per_content(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store.features(IMAGES, "first", tmp_path)
    monkeypatch.setattr(store, "_batches", lambda *_: pytest.fail("computed twice"))
    again = store.features(ArrayImages([image.copy() for image in IMAGES.arrays]), "", tmp_path)
    assert all(map(np.array_equal, first, again))
    monkeypatch.undo()
    changed = [image.copy() for image in IMAGES.arrays]
    changed[3][0, 0] ^= 1
    store.features(ArrayImages(changed), "changed", tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_two_processes_at_the_same_features_do_not_disturb_each_other(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = store._batches

    def slower(*given: Any) -> Iterator[Any]:
        yield from batches(*given)
        monkeypatch.setattr(store, "_batches", batches)
        store.features(IMAGES, "another process", tmp_path)

    monkeypatch.setattr(store, "_batches", slower)
    found = store.features(IMAGES, "the slower", tmp_path)
    assert all(map(np.array_equal, store.features(IMAGES, "fresh", None), found))
    assert [entry.suffix for entry in tmp_path.iterdir()] == [""]


def test_an_interrupted_computation_leaves_nothing(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> object:
        yield list(range(5)), torch.zeros(5, 3, 64, 64)
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "_batches", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.features(IMAGES, "interrupted", tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_maps_of_images_of_all_shapes_have_one_size_and_keep_their_order(
    store: FeatureStore,
) -> None:
    shapes = [(64, 64), (40, 80), (96, 48), (64, 64), (40, 80)]
    images = [grain(1, seed)[0] for seed in range(len(shapes))]
    resized = [resize_image(image, *shape) for image, shape in zip(images, shapes, strict=True)]
    mixed = store.features(ArrayImages(resized), "mixed", None)
    for index, array in enumerate(resized):
        alone = store.features(ArrayImages([array]), "alone", None)
        for level, own in zip(mixed, alone, strict=True):
            np.testing.assert_allclose(level[index], own[0], rtol=0.01, atol=0.01)


def test_a_stretched_image_is_not_one_that_keeps_its_aspect(backbone: Backbone) -> None:
    images = ArrayImages([resize_image(grain(1, 0)[0], 32, 128)])
    device = torch.device("cpu")
    kept = FeatureStore(backbone, 64, device).features(images, "kept", None)
    stretched = FeatureStore(backbone, 64, device, stretched=True).features(images, "", None)
    assert [level.shape for level in kept] == [level.shape for level in stretched]
    assert not np.allclose(kept[0], stretched[0], atol=0.1)


@given(
    arrays(np.float32, (2, 3, 5, 7), elements=st.floats(-1, 1, width=32)),
    st.integers(1, 12),
    st.integers(1, 12),
)
def test_resampling_keeps_constants_and_range(maps: np.ndarray, height: int, width: int) -> None:
    level = torch.from_numpy(maps)
    resized = resample(level, (height, width))
    assert resized.shape == (2, 3, height, width)
    assert resized.min() >= level.min() - 1e-5
    assert resized.max() <= level.max() + 1e-5
    constant = resample(torch.ones(1, 1, 5, 7), (height, width))
    torch.testing.assert_close(constant, torch.ones(1, 1, height, width))


def test_the_oldest_entries_make_room(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.features(IMAGES, "old", tmp_path)
    monkeypatch.setattr(module, "CACHE_BYTES", 0)
    store.features(ArrayImages(grain(2, 1)), "new", tmp_path)
    (entry,) = tmp_path.iterdir()
    assert len(np.load(entry / "level-0.npy")) == 2


def test_features_beyond_half_precision_are_refused(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Backbone, "forward", lambda _, images: [torch.full((len(images), 1, 4, 4), 1e6)]
    )
    with pytest.raises(DataError, match="beyond half precision"):
        store.features(IMAGES, "features", None)


def test_fusion_averages_finer_levels_and_repeats_coarser_ones() -> None:
    fine = np.arange(16, dtype=np.float16).reshape(1, 1, 4, 4)
    same = np.ones((1, 1, 2, 2), np.float16)
    coarse = np.full((1, 1, 1, 1), 7, np.float16)
    (fused,) = as_levels([fine, same, coarse], slice(0, 1), 2)
    assert fused[0].tolist() == [[[2.5, 4.5], [10.5, 12.5]], [[1, 1], [1, 1]], [[7, 7], [7, 7]]]


def test_coarser_levels_are_repeated_or_interpolated() -> None:
    coarse = np.array([0, 4], np.float16).reshape(1, 1, 1, 2).repeat(2, 2)
    rows = [as_levels([coarse], slice(0, 1), 4, how)[0][0, 0, 0] for how in UPSAMPLING]
    assert [row.tolist() for row in rows] == [[0, 0, 4, 4], [0, 1, 3, 4]]


def test_without_a_grid_levels_stay_apart() -> None:
    levels = as_levels([np.ones((3, 1, 4, 4), np.float16)] * 2, slice(1, 3), None)
    assert [tuple(level.shape) for level in levels] == [(2, 1, 4, 4)] * 2
