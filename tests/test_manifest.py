from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import (
    btad_category,
    defect_mask,
    flat_category,
    mvtec_category,
    save,
    texture,
    visa_dataset,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from clflow.data.inspection import Finding, Inspection
from clflow.data.layouts import Found
from clflow.data.manifest import build_manifest, draw_splits
from clflow.data.records import Manifest, Record, read_manifest, write_manifest
from clflow.data.settings import PrepareSettings
from clflow.errors import DataError, SettingsError
from clflow.files import sha256_of

DEFAULT = PrepareSettings()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(9)


def _sizes(manifest: Manifest) -> dict[tuple[str, int], int]:
    return dict(Counter((record.split, record.label) for record in manifest.records))


def _splits(manifest: Manifest) -> dict[str, str]:
    return {record.sha256: record.split for record in manifest.records}


def _error(root: Path, category: str = "widget", layout: str = "mvtec_ad") -> str:
    with pytest.raises(DataError) as caught:
        build_manifest(root, category, layout, DEFAULT)
    return str(caught.value)


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


def test_the_split_depends_on_contents_not_on_names(tmp_path: Path) -> None:
    folder = flat_category(tmp_path, good=40)
    before = build_manifest(tmp_path, "gear", "folder", DEFAULT).manifest
    for index, path in enumerate(sorted((folder / "good").iterdir())):
        path.rename(path.with_name(f"part-{(index * 7) % 40:02d}.png"))

    after = build_manifest(tmp_path, "gear", "folder", DEFAULT).manifest

    assert _splits(after) == _splits(before)
    assert [record.path for record in after.records] != [record.path for record in before.records]


def test_seed_and_category_change_the_split(tmp_path: Path) -> None:
    mvtec_category(tmp_path, "a", train=40)
    mvtec_category(tmp_path, "b", train=40)

    first, other_seed, other_name = (
        _splits(build_manifest(tmp_path, name, "mvtec_ad", PrepareSettings(seed=seed)).manifest)
        for name, seed in (("a", 0), ("a", 1), ("b", 0))
    )

    assert first.keys() == other_seed.keys() == other_name.keys()
    assert first != other_seed
    assert first != other_name


def _inspection(train: list[str], free: list[str]) -> Inspection:
    findings = [
        Finding(Found(Path(f"{part}-{index}"), None, "good", 0, part), "", content)
        for part, contents in (("train", train), ("any", free))
        for index, content in enumerate(contents)
    ]
    return Inspection("part", tuple(findings), ())


contents = st.lists(st.integers(0, 400).map(lambda number: f"{number:064x}"), max_size=120)


@settings(max_examples=60, deadline=None)
@given(contents, st.booleans(), st.integers(0, 5), st.floats(0, 0.9), st.floats(0, 0.9))
def test_split_sizes(
    images: list[str], free: bool, seed: int, validation: float, test: float
) -> None:
    chosen = PrepareSettings(seed=seed, validation_fraction=validation, test_fraction=test)

    splits = draw_splits(_inspection([], images) if free else _inspection(images, []), chosen)

    sizes = Counter(splits.values())
    distinct = len(set(images))
    assert splits.keys() == set(images)
    assert sizes["test"] == (round(test * distinct) if free else 0)
    good = distinct - sizes["test"]
    assert sizes["validation"] == min(good, max(8, round(validation * good)))
    assert sizes["train"] == good - sizes["validation"]


def test_one_more_image_moves_at_most_one_held_out_image() -> None:
    images = [f"{number:064x}" for number in range(200)]
    held_out = [
        {
            sha
            for sha, split in draw_splits(_inspection(part, []), DEFAULT).items()
            if split != "train"
        }
        for part in (images[:-1], images)
    ]

    assert len(held_out[0]) == len(held_out[1]) == 20
    assert len(held_out[0] - held_out[1]) <= 1


def test_copies_of_an_image_share_a_split(tmp_path: Path) -> None:
    folder = flat_category(tmp_path, good=30) / "good"
    for index in range(30):
        (folder / f"copy{index:03d}.png").write_bytes((folder / f"{index:03d}.png").read_bytes())

    prepared = build_manifest(tmp_path, "gear", "folder", DEFAULT)

    splits = {
        (record.sha256, record.split) for record in prepared.manifest.records if not record.label
    }
    assert len(splits) == 30
    assert any("30 images occur more than once" in note for note in prepared.notes)


def test_no_good_training_image_is_an_error(tmp_path: Path) -> None:
    mvtec_category(tmp_path, train=0)

    assert "no good training image" in _error(tmp_path)


def test_too_few_good_images_name_numbers_and_settings(tmp_path: Path) -> None:
    mvtec_category(tmp_path, train=15)

    message = _error(tmp_path)

    assert "only 15 different good images" in message
    assert "8 are held out (validation_minimum" in message
    assert "8 must remain (training_minimum)" in message


def test_sixteen_good_images_are_enough_and_the_minimum_can_be_lowered(tmp_path: Path) -> None:
    mvtec_category(tmp_path, "enough", train=16)
    mvtec_category(tmp_path, "few", train=5)
    lowered = PrepareSettings(validation_minimum=2, training_minimum=3)

    enough = build_manifest(tmp_path, "enough", "mvtec_ad", DEFAULT).manifest
    few = build_manifest(tmp_path, "few", "mvtec_ad", lowered).manifest

    assert (len(enough.train), len(enough.validation)) == (8, 8)
    assert (len(few.train), len(few.validation)) == (3, 2)


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


def test_data_without_masks_can_be_prepared(tmp_path: Path) -> None:
    mvtec_category(tmp_path, masks=False)

    assert not build_manifest(tmp_path, "widget", "mvtec_ad", DEFAULT).manifest.has_masks


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


texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1)
records = st.builds(
    Record,
    path=texts,
    sha256=st.just("0" * 64),
    width=st.integers(1, 9999),
    height=st.integers(1, 9999),
    label=st.integers(0, 1),
    defect=texts,
    mask=st.none() | texts,
    split=st.sampled_from(["train", "validation", "test"]),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(records, min_size=1, max_size=5, unique_by=lambda record: record.path), texts)
def test_manifests_survive_writing_and_reading(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Record], category: str
) -> None:
    path = tmp_path_factory.mktemp("manifest") / "manifest.csv"
    manifest = Manifest(category, tuple(rows))

    write_manifest(path, manifest)

    assert read_manifest(path) == manifest
    assert read_manifest(path).digest == manifest.digest


RECORD = Record("b.png", "0" * 64, 4, 3, 0, "good", None, "train")


def test_equal_manifests_give_equal_bytes_whatever_the_order(tmp_path: Path) -> None:
    rows = (RECORD, replace(RECORD, path="a.png", split="test"))

    write_manifest(tmp_path / "one.csv", Manifest("nut", rows))
    write_manifest(tmp_path / "two.csv", Manifest("nut", rows[::-1]))

    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert (tmp_path / "one.csv").read_text() == (
        "category,path,sha256,width,height,label,defect,mask,split\n"
        f"nut,a.png,{'0' * 64},4,3,0,good,,test\n"
        f"nut,b.png,{'0' * 64},4,3,0,good,,train\n"
    )


@pytest.mark.parametrize(
    "change",
    [{"sha256": "1" * 64}, {"split": "validation"}, {"mask": "m.png"}, {"width": 5}],
    ids=str,
)
def test_the_digest_changes_with_the_content(change: dict[str, object]) -> None:
    changed = replace(RECORD, **change)  # type: ignore[arg-type]

    assert Manifest("nut", (changed,)).digest != Manifest("nut", (RECORD,)).digest
    assert Manifest("bolt", (RECORD,)).digest != Manifest("nut", (RECORD,)).digest


HEADER = "category,path,sha256,width,height,label,defect,mask,split\n"
ROW = "nut,a.png,00,4,3,0,good,,train\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "columns", id="empty"),
        pytest.param("path,label\na,0\n", "columns", id="other columns"),
        pytest.param(HEADER, "one category", id="no rows"),
        pytest.param(HEADER + ROW + ROW.replace("nut,a", "bolt,b"), "bolt", id="two categories"),
        pytest.param(HEADER + ROW + ROW, "twice", id="same path"),
        pytest.param(HEADER + "nut,a.png\n", "2 fields", id="short row"),
        pytest.param(HEADER + ROW + "\n", "0 fields", id="blank row"),
        pytest.param(HEADER + ROW.replace("train", "val"), "'val'", id="split"),
        pytest.param(HEADER + ROW.replace(",0,", ",2,"), "'2'", id="label"),
        pytest.param(HEADER + ROW.replace(",4,", ",x,"), "'x'", id="width"),
        pytest.param(HEADER + 'nut,"a', "unexpected end", id="open quote"),
    ],
)
def test_malformed_manifests_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "manifest.csv"
    path.write_text(text)

    with pytest.raises(DataError, match=message):
        read_manifest(path)


def test_a_manifest_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(DataError, match="cannot read manifest"):
        read_manifest(tmp_path / "manifest.csv")
    with pytest.raises(DataError, match="No such file"):
        read_manifest(tmp_path / "absent.csv")
