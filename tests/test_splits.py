"""Splits: drawn from contents and seed, stable, and of the sizes that were asked for."""

from collections import Counter
from pathlib import Path

from builders import flat_category, mvtec_category
from hypothesis import given, settings
from hypothesis import strategies as st

from clflow.data.inspection import Finding, Inspection
from clflow.data.manifest import build_manifest, draw_splits
from clflow.data.preparation import PrepareSettings
from clflow.data.records import Found, Manifest

DEFAULT = PrepareSettings()


def _splits(manifest: Manifest) -> dict[str, str]:
    return {record.sha256: record.split for record in manifest.records}


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
