"""Features are computed once and found again by content."""

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flow_cases import grain
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clflow import files
from clflow.data.images import ArrayImages, resize_image
from clflow.errors import DataError, StorageError
from clflow.features import store as module
from clflow.features.backbone import Backbone, build_backbone
from clflow.features.registry import BackboneSettings, BackboneSpec
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
    assert len(np.load(entry / "level-00.npy")) == 2


def tiny_transformer(depth: int) -> Backbone:
    options = {"img_size": 32, "embed_dim": 12, "depth": depth, "num_heads": 2}
    network = import_module("timm").create_model("vit_tiny_patch16_224", **options)
    levels = tuple(range(depth))
    spec = BackboneSpec("vit", levels, depth=depth, transformer=True, image_size=32)
    return Backbone(network, spec, levels)


@pytest.mark.parametrize("depth", [1, 11, 13])
def test_levels_keep_their_order_in_the_cache_however_many_they_are(
    tmp_path: Path, depth: int
) -> None:
    store = FeatureStore(tiny_transformer(depth), 32, torch.device("cpu"), stretched=True)
    fresh = store.features(IMAGES, "fresh", None)
    for _ in range(2):
        cached = store.features(IMAGES, "cached", tmp_path)
        assert len(cached) == depth
        assert all(map(np.array_equal, fresh, cached))
    assert not any(np.array_equal(one, other) for one, other in pairwise(fresh))


def cut_short(entry: Path) -> None:
    path = entry / "level-01.npy"
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(shutil.rmtree, id="evicted"),
        pytest.param(lambda entry: (entry / "level-01.npy").unlink(), id="level removed"),
        pytest.param(lambda entry: (entry / "level-02.npy").write_bytes(b""), id="empty"),
        pytest.param(cut_short, id="cut short"),
    ],
)
def test_an_entry_harmed_between_the_check_and_the_loading_is_computed_again(
    store: FeatureStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    harm: Callable[[Path], None],
) -> None:
    fresh = store.features(IMAGES, "fresh", None)
    store.features(IMAGES, "cached", tmp_path)
    (entry,) = tmp_path.iterdir()
    load, waiting = np.load, [entry]

    def harmed_load(path: Path, **options: Any) -> np.ndarray:
        if waiting:
            harm(waiting.pop())
        return load(path, **options)

    monkeypatch.setattr(module.np, "load", harmed_load)
    again = store.features(IMAGES, "again", tmp_path)
    assert all(map(np.array_equal, fresh, again))
    monkeypatch.setattr(store, "_batches", lambda *_: pytest.fail("not repaired"))
    assert all(map(np.array_equal, fresh, store.features(IMAGES, "kept", tmp_path)))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda entry: flip(entry / "level-01.npy"), id="flipped bit"),
        pytest.param(lambda entry: flip(entry / "digests.json"), id="flipped digest"),
        pytest.param(lambda entry: (entry / "digests.json").unlink(), id="no digests"),
        pytest.param(lambda entry: (entry / "digests.json").write_text("[]"), id="other digests"),
        pytest.param(lambda entry: (entry / "level-00.npy").unlink(), id="level removed"),
        pytest.param(lambda entry: cut_short(entry), id="cut short"),
    ],
)
def test_an_entry_that_is_not_what_was_written_is_computed_again(
    store: FeatureStore, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    fresh = store.features(IMAGES, "cached", tmp_path)
    fresh = [np.array(level) for level in fresh]
    (entry,) = tmp_path.iterdir()
    harm(entry)
    assert all(map(np.array_equal, fresh, store.features(IMAGES, "again", tmp_path)))
    assert all(map(np.array_equal, fresh, store.features(IMAGES, "kept", tmp_path)))


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="no such call")
def test_a_full_disk_is_an_error_before_a_map_is_written(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match="the disk is full"):
        store.features(IMAGES, "features", tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_entry_evicted_as_soon_as_it_is_stored_is_still_returned(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = store._load

    def evicted(folder: Path) -> Any:
        shutil.rmtree(folder, ignore_errors=True)
        return load(folder)

    monkeypatch.setattr(store, "_load", evicted)
    found = store.features(IMAGES, "features", tmp_path)
    assert not list(tmp_path.iterdir())
    assert all(map(np.array_equal, store.features(IMAGES, "fresh", None), found))
    with pytest.raises(ValueError, match="read-only"):
        found[0][:] = 0


def entry_of(cache: Path, name: str, used: float) -> Path:
    entry = cache / name
    entry.mkdir(parents=True)
    (entry / "level-00.npy").write_bytes(b"12345678")
    os.utime(entry, (used, used))
    return entry


def test_eviction_passes_over_what_vanishes_before_it_is_looked_at(tmp_path: Path) -> None:
    # listed, but no longer there when asked for its age
    (tmp_path / "gone").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "note.txt").write_text("no entry")
    old, new = (entry_of(tmp_path, name, used) for name, used in (("old", 1.0), ("new", 2.0)))
    module._evict(tmp_path, 8)
    assert (old.exists(), new.exists()) == (False, True)
    module._evict(tmp_path / "no cache", 0)


def test_entries_being_written_are_left_and_abandoned_ones_removed(tmp_path: Path) -> None:
    now = time.time()
    written = entry_of(tmp_path, ".a.partial", now)
    abandoned = entry_of(tmp_path, ".b.partial", now - 2 * module._ABANDONED_SECONDS)
    module._evict(tmp_path, 0)
    assert (written.exists(), abandoned.exists()) == (True, False)


def test_eviction_beside_others_that_add_and_remove_entries(tmp_path: Path) -> None:
    def others(worker: int) -> None:
        for turn in range(150):
            entry = entry_of(tmp_path, f"{worker}-{turn}", turn)
            moved = tmp_path / f".{worker}-{turn}.moved"
            try:
                entry.rename(moved)
            except FileNotFoundError:
                continue
            shutil.rmtree(moved)

    def evictions() -> None:
        for _ in range(300):
            module._evict(tmp_path, 16)

    with ThreadPoolExecutor(4) as pool:
        tasks = [*(pool.submit(others, worker) for worker in range(2))]
        tasks += [pool.submit(evictions) for _ in range(2)]
        for task in tasks:
            task.result()


def test_readers_of_a_cache_that_keeps_nothing_get_their_features(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CACHE_BYTES", 0)
    sources = [ArrayImages(grain(2, seed)) for seed in range(4)]
    expected = [store.features(images, "fresh", None) for images in sources]

    def read(turn: int) -> bool:
        which = turn % len(sources)
        found = store.features(sources[which], "features", tmp_path)
        return len(found) == 3 and all(map(np.array_equal, expected[which], found))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(40)))


@pytest.mark.parametrize("name", module._CODE)
def test_the_code_that_shapes_features_is_in_the_key(
    backbone: Backbone, store: FeatureStore, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    digest = files.module_digest

    def changed(path: Path) -> str:
        return digest(path) + ("*" if path.as_posix().endswith(f"clflow/{name}") else "")

    monkeypatch.setattr(files, "module_digest", changed)
    other = FeatureStore(backbone, 64, torch.device("cpu"))
    assert other._key(IMAGES) != store._key(IMAGES)


def test_the_store_itself_shapes_features() -> None:
    (own,) = [name for name in module._CODE if str(module.__file__).endswith(name)]
    assert own == "features/store.py"


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
