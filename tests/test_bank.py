"""The bank: apart splits, whole folders, and pixels that depend on nothing but the settings."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cloth import contents, saved, study
from numpy.typing import NDArray

from clflow.data.images import read_image, read_mask, write_png
from clflow.data.records import Manifest
from clflow.errors import DataError, SettingsError
from clflow.synthesis import registry
from clflow.synthesis.background import Decision
from clflow.synthesis.bank import read_bank, rebuild, write_bank
from clflow.synthesis.labels import LabelSettings
from clflow.synthesis.nsa import NSAOverrides
from clflow.synthesis.registry import SourceKind
from clflow.synthesis.settings import SynthesizeSettings
from clflow.synthesis.synthetic import Synthetic, component_boxes

SMALL = SynthesizeSettings(
    aspect="keep", image_size=64, per_image=2, validation_per_image=1, kind="texture"
)


def test_bank_holds_what_its_rows_say(tmp_path: Path) -> None:
    manifest = study(tmp_path)
    out = tmp_path / "bank"
    summary = write_bank(manifest, tmp_path, out, "mine", SMALL)
    for split, records, per_image in (
        ("train", manifest.train, 2),
        ("validation", manifest.validation, 1),
    ):
        rows = read_bank(out, split)
        counts = summary.splits[split]
        assert counts.asked == len(records) * per_image
        assert counts.written == len(rows) == counts.asked - counts.failed
        assert len(list((out / split / "images").iterdir())) == len(rows)
        assert len(list((out / split / "masks").iterdir())) == len(rows)
        for row in rows:
            mask = read_mask(row.mask, row.shape)
            assert read_image(row.image).shape == (*row.shape, 3)
            assert row.boxes == component_boxes(mask)
            assert row.destination.index == row.index // per_image
            for origin in (row.source, row.destination):
                assert records[origin.index].path == origin.path
                assert records[origin.index].sha256 == origin.sha256
            assert row.source.path != row.destination.path


def test_summary_is_the_file(tmp_path: Path) -> None:
    settings = SMALL.model_copy(update={"kind": "auto"})
    summary = write_bank(study(tmp_path), tmp_path, tmp_path / "bank", "mine", settings)
    stored = json.loads((tmp_path / "bank" / "bank.json").read_text())
    assert stored["resolved"] == json.loads(json.dumps(summary.resolved))
    assert list(stored["resolved"]) == ["nsa"]
    assert stored["background"]["kind"] == "texture"
    assert stored["reason"] == stored["background"]["reason"]
    assert stored["synthesize"] == settings.model_dump(mode="json")
    assert stored["splits"]["train"]["asked"] == 10


def test_rows_rebuild_the_saved_pixels(tmp_path: Path) -> None:
    write_bank(study(tmp_path), tmp_path, tmp_path / "bank", "mine", SMALL)
    rows = read_bank(tmp_path / "bank", "train")
    assert rows
    for row in rows:
        synthetic = rebuild(row, tmp_path)
        np.testing.assert_array_equal(synthetic.image, read_image(row.image))
        np.testing.assert_array_equal(synthetic.mask, read_mask(row.mask, row.shape))
        assert synthetic.boxes == row.boxes
        assert synthetic.patches == row.patches


def test_workers_do_not_change_a_byte(tmp_path: Path) -> None:
    manifest = study(tmp_path)
    for workers in (1, 2):
        write_bank(manifest, tmp_path, tmp_path / f"bank{workers}", "mine", SMALL, workers)
    assert contents(tmp_path / "bank1") == contents(tmp_path / "bank2")


def test_seed_changes_the_pixels_and_the_number_per_image_does_not(tmp_path: Path) -> None:
    manifest = study(tmp_path)
    images = {}
    for name, change in (
        ("base", {}),
        ("seed", {"seed": 1}),
        ("more", {"per_image": 3}),
    ):
        settings = SMALL.model_copy(update=change)
        write_bank(manifest, tmp_path, tmp_path / name, "mine", settings)
        per_image = settings.per_image
        images[name] = {
            (row.destination.index, row.index % per_image): row.image.read_bytes()
            for row in read_bank(tmp_path / name, "train")
        }
    assert images["base"].items() <= images["more"].items()
    shared = images["base"].keys() & images["seed"].keys()
    assert all(images["base"][key] != images["seed"][key] for key in shared)


def test_an_image_has_other_seeds_in_another_split(tmp_path: Path) -> None:
    manifest = study(tmp_path, train=3, validation=3)
    other = {"train": "validation", "validation": "train"}
    swapped = Manifest(
        "cloth", tuple(replace(record, split=other[record.split]) for record in manifest.records)
    )
    settings = SMALL.model_copy(update={"per_image": 1})
    seeds = []
    for name, chosen in (("first", manifest), ("second", swapped)):
        write_bank(chosen, tmp_path, tmp_path / name, "mine", settings)
        seeds.append({row.seed for row in read_bank(tmp_path / name, "train")})
        seeds.append({row.seed for row in read_bank(tmp_path / name, "validation")})
    assert all(seeds)
    assert sum(map(len, seeds)) == len(set.union(*seeds))


def test_every_other_image_serves_as_source(tmp_path: Path) -> None:
    settings = SMALL.model_copy(update={"per_image": 12, "validation_per_image": 0})
    write_bank(study(tmp_path, train=3), tmp_path, tmp_path / "bank", "mine", settings)
    rows = read_bank(tmp_path / "bank", "train")
    pairs = {(row.destination.index, row.source.index) for row in rows}
    assert pairs == {(i, j) for i in range(3) for j in range(3) if i != j}
    assert read_bank(tmp_path / "bank", "validation") == ()


@pytest.mark.parametrize("images", [0, 1])
def test_split_with_too_few_images_is_refused(tmp_path: Path, images: int) -> None:
    manifest = study(tmp_path, validation=images)
    with pytest.raises(DataError, match=rf"validation of cloth has {images} image"):
        write_bank(manifest, tmp_path, tmp_path / "bank", "mine", SMALL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images"]


def test_bank_of_failures_is_refused(tmp_path: Path) -> None:
    plain = np.full((48, 48, 3), 200, np.uint8)
    records = [saved(tmp_path, n, plain, "train" if n < 2 else "validation") for n in range(4)]
    settings = SMALL.model_copy(
        update={"kind": "object", "nsa": NSAOverrides(background=(200, 60)), "attempts": 2}
    )
    with pytest.raises(DataError, match=r"4 of 4 anomalies of part \(train\).*synthesize.kind"):
        write_bank(Manifest("part", tuple(records)), tmp_path, tmp_path / "bank", "mine", settings)
    assert not (tmp_path / "bank").exists()


class PickySettings(LabelSettings):
    brightest: float


class Picky:
    """A generator that takes no patch whose random level is above a bound."""

    def resolve(self, decision: Decision, settings: SynthesizeSettings) -> PickySettings:
        return PickySettings(brightest=0.6)

    def load(self, values: Mapping[str, Any]) -> PickySettings:
        return PickySettings.model_validate(values)

    def source(self, settings: PickySettings) -> SourceKind:
        return "other"

    def generate(
        self,
        destination: NDArray[np.uint8],
        source: NDArray[np.uint8],
        settings: PickySettings,
        rng: np.random.Generator,
    ) -> Synthetic | None:
        if rng.random() > settings.brightest:
            return None
        mask = np.zeros(destination.shape[:2], bool)
        mask[3:9, 4:8] = True
        image = np.where(mask[..., None], source, destination)
        return Synthetic(image, mask, component_boxes(mask), (), lambda: mask.astype(np.float32))


def test_failures_are_retried_counted_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.GENERATORS, "picky", Picky)
    settings = SMALL.model_copy(update={"generator": "picky", "per_image": 8, "attempts": 2})
    summary = write_bank(study(tmp_path), tmp_path, tmp_path / "bank", "mine", settings)
    rows = read_bank(tmp_path / "bank", "train")
    counts = summary.splits["train"]
    assert counts.failed > 0
    assert counts.written == len(rows) == 40 - counts.failed
    assert counts.attempts == sum(row.attempt + 1 for row in rows) + 2 * counts.failed
    assert counts.generators == {"picky": len(rows)}
    assert {row.attempt for row in rows} == {0, 1}
    assert len({row.seed for row in rows}) == len(rows)
    assert rows[0].boxes == ((4, 3, 8, 9),)


@pytest.mark.parametrize("workers", [1, 2])
def test_damaged_image_stops_the_bank(tmp_path: Path, workers: int) -> None:
    manifest = study(tmp_path)
    (tmp_path / manifest.validation[-1].path).write_bytes(b"no image")
    with pytest.raises(DataError, match="cannot decode"):
        write_bank(manifest, tmp_path, tmp_path / "bank", "mine", SMALL, workers)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images"]


def test_changed_image_is_noticed(tmp_path: Path) -> None:
    manifest = study(tmp_path)
    path = tmp_path / manifest.train[0].path
    write_png(path, np.zeros((60, 52, 3), np.uint8))
    with pytest.raises(DataError, match="has changed"):
        write_bank(manifest, tmp_path, tmp_path / "bank", "mine", SMALL)


def test_old_bank_stays_when_the_new_one_fails(tmp_path: Path) -> None:
    manifest = study(tmp_path)
    write_bank(manifest, tmp_path, tmp_path / "bank", "mine", SMALL)
    before = contents(tmp_path / "bank")
    with pytest.raises(DataError):
        write_bank(study(tmp_path / "b", train=1), tmp_path / "b", tmp_path / "bank", "x", SMALL)
    assert contents(tmp_path / "bank") == before


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"index": 1}', "null"], ids=["cut", "list", "columns-missing", "null"]
)
def test_damaged_manifest_names_its_line(tmp_path: Path, line: str) -> None:
    write_bank(study(tmp_path), tmp_path, tmp_path / "bank", "mine", SMALL)
    path = tmp_path / "bank" / "train" / "manifest.jsonl"
    first = path.read_text().splitlines()[0]
    path.write_text(f"{first}\n{line}\n")
    with pytest.raises(DataError, match="line 2"):
        read_bank(tmp_path / "bank", "train")


def test_missing_bank_and_unknown_split_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="synthesize stage"):
        read_bank(tmp_path, "train")
    with pytest.raises(SettingsError, match="'test'"):
        read_bank(tmp_path, "test")


def test_workers_are_counted_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="workers is 0"):
        write_bank(Manifest("cloth", ()), tmp_path, tmp_path / "bank", "mine", SMALL, workers=0)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"generator": "cutpast"}, id="alone"),
        pytest.param({"generator": "mixture", "mixture": {"nsa": 1, "cutpast": 1}}, id="mixed"),
        pytest.param({"generator": "mixture", "mixture": {"cutpast": 1}}, id="mixture-of-one"),
    ],
)
def test_unknown_generator_leaves_nothing(tmp_path: Path, change: dict[str, Any]) -> None:
    manifest = study(tmp_path)
    unknown = SMALL.model_copy(update=change)
    with pytest.raises(SettingsError, match="unknown generator 'cutpast': did you mean 'cutpaste"):
        write_bank(manifest, tmp_path, tmp_path / "bank", "mine", unknown)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images"]
