"""Manifests: what the files of a category become."""

from collections import Counter
from pathlib import Path

import pytest
from builders import btad_category, flat_category, mvtec_category, visa_dataset
from pydantic import ValidationError

from clflow.data.manifest import build_manifest
from clflow.data.preparation import PrepareSettings
from clflow.data.records import Manifest, Record
from clflow.errors import DataError, SettingsError
from clflow.files import sha256_of

DEFAULT = PrepareSettings()


def _sizes(manifest: Manifest) -> dict[tuple[str, int], int]:
    return dict(Counter((record.split, record.label) for record in manifest.records))


def test_records_say_what_is_in_the_files(tmp_path: Path) -> None:
    mvtec_category(tmp_path, size=(10, 14))

    manifest = build_manifest(tmp_path, "widget", "mvtec_ad", DEFAULT).manifest

    assert _sizes(manifest) == {
        ("train", 0): 12, ("validation", 0): 8, ("test", 0): 3, ("test", 1): 3,
    }  # fmt: skip
    defective = next(record for record in manifest.test if record.label == 1)
    assert defective == Record(
        path="widget/test/crack/000.png",
        sha256=sha256_of(tmp_path / "widget/test/crack/000.png"),
        width=14,
        height=10,
        label=1,
        defect="crack",
        mask="widget/ground_truth/crack/000_mask.png",
        split="test",
    )
    paths = [record.path for record in manifest.records]
    assert paths == sorted(paths)
    assert manifest.has_masks


@pytest.mark.parametrize("layout", ["btad", "visa"])
def test_other_layouts_give_the_same_splits(tmp_path: Path, layout: str) -> None:
    name = "01" if layout == "btad" else "candle"
    (btad_category if layout == "btad" else visa_dataset)(tmp_path, name, train=20)

    prepared = build_manifest(tmp_path, name, layout, DEFAULT)

    assert _sizes(prepared.manifest) == {
        ("train", 0): 12, ("validation", 0): 8, ("test", 0): 3, ("test", 1): 3,
    }  # fmt: skip
    assert prepared.manifest.has_masks
    assert prepared.notes == ()


def test_flat_good_images_are_split_three_ways(tmp_path: Path) -> None:
    flat_category(tmp_path, good=30)

    manifest = build_manifest(tmp_path, "gear", "folder", DEFAULT).manifest

    assert _sizes(manifest) == {
        ("test", 0): 6, ("validation", 0): 8, ("train", 0): 16, ("test", 1): 3,
    }  # fmt: skip


def test_paths_are_relative_to_the_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mvtec_category(tmp_path / "data" / "raw")
    monkeypatch.chdir(tmp_path)

    manifest = build_manifest(Path("data/raw"), "widget", "mvtec_ad", DEFAULT, Path()).manifest

    assert all(Path(record.path).is_file() for record in manifest.records)
    assert manifest.test[0].path.startswith("data/raw/widget/")
    with pytest.raises(DataError, match="not below"):
        build_manifest(Path("data/raw"), "widget", "mvtec_ad", DEFAULT, tmp_path / "study")


def test_sixteen_good_images_are_enough_and_the_minimum_can_be_lowered(tmp_path: Path) -> None:
    mvtec_category(tmp_path, "enough", train=16)
    mvtec_category(tmp_path, "few", train=5)
    lowered = PrepareSettings(validation_minimum=2, training_minimum=3)

    enough = build_manifest(tmp_path, "enough", "mvtec_ad", DEFAULT).manifest
    few = build_manifest(tmp_path, "few", "mvtec_ad", lowered).manifest

    assert (len(enough.train), len(enough.validation)) == (8, 8)
    assert (len(few.train), len(few.validation)) == (3, 2)


def test_data_without_masks_can_be_prepared(tmp_path: Path) -> None:
    mvtec_category(tmp_path, masks=False)

    assert not build_manifest(tmp_path, "widget", "mvtec_ad", DEFAULT).manifest.has_masks


def test_unknown_categories_are_refused(tmp_path: Path) -> None:
    mvtec_category(tmp_path)

    with pytest.raises(SettingsError, match="did you mean 'widget'"):
        build_manifest(tmp_path, "widgets", "mvtec_ad", DEFAULT)


@pytest.mark.parametrize(
    "values",
    [{"seed": -1}, {"validation_fraction": 1.0}, {"validation_minimum": 0}, {"folds": 5}],
)
def test_settings_outside_their_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        PrepareSettings.model_validate(values)
