"""Textures of a folder: which there are, which split gets them, and what rows say of them."""

from pathlib import Path

import numpy as np
import pytest
from builders import save
from cloth import study
from pydantic import ValidationError

from clflow.data.images import read_image
from clflow.errors import DataError
from clflow.synthesis.bank import read_bank, rebuild, write_bank
from clflow.synthesis.drawing import read_resized
from clflow.synthesis.settings import SynthesizeSettings
from clflow.synthesis.textures import texture_folder, texture_origins

DEFAULT = Path("data/textures")
CHOSEN = SynthesizeSettings(
    generator="perlin", image_size=48, per_image=4, validation_per_image=4, attempts=20
)


@pytest.fixture(autouse=True)
def _empty_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def textures(folder: Path, count: int) -> list[Path]:
    """Write colourful textures into two sub-folders."""
    rng = np.random.default_rng(9)
    return [
        save(
            folder / ("dotted" if n % 2 else "lined") / f"{n:03d}.png",
            rng.integers(0, 256, (40, 44, 3), np.uint8),
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("exists", [True, False])
def test_default_folder_may_be_empty(exists: bool) -> None:
    if exists:
        (DEFAULT / "dotted").mkdir(parents=True)
        (DEFAULT / ".gitkeep").touch()
    assert texture_folder(str(DEFAULT)) is None
    manifest = study(Path("parts"))
    write_bank(manifest, Path("parts"), Path("bank"), "mine", CHOSEN)
    for split, records in (("train", manifest.train), ("validation", manifest.validation)):
        rows = read_bank(Path("bank"), split)
        own = {record.path for record in records}
        assert {row.source.path for row in rows} <= own
        assert all(row.source != row.destination for row in rows)
        assert all(row.settings["textures"] is None for row in rows)


@pytest.mark.parametrize("folder", ["nowhere", "empty", "words"])
def test_another_folder_must_hold_images(folder: str) -> None:
    Path("empty").mkdir()
    Path("words").mkdir()
    Path("words/notes.txt").touch()
    with pytest.raises(DataError, match=rf"synthesize\.textures '{folder}' holds no image"):
        texture_folder(folder)
    chosen = CHOSEN.model_copy(update={"textures": folder})
    with pytest.raises(DataError, match="data/textures for the textures of the download stage"):
        write_bank(study(Path("parts")), Path("parts"), Path("bank"), "mine", chosen)
    assert not Path("bank").exists()


def test_folder_of_textures_is_found_below_its_sub_folders() -> None:
    textures(Path("own"), 2)
    textures(DEFAULT, 2)
    assert texture_folder("own") == "own"
    assert texture_folder(str(DEFAULT)) == str(DEFAULT)


@pytest.mark.parametrize("count", [2, 5, 11])
def test_splits_share_no_texture_and_leave_none_out(count: int) -> None:
    paths = textures(Path("own"), count)
    found = [texture_origins("own", split) for split in ("train", "validation")]
    for origins in found:
        assert [origin.index for origin in origins] == list(range(len(origins)))
    trained, held_out = ({origin.path for origin in origins} for origins in found)
    assert not trained & held_out
    assert trained | held_out == {path.relative_to("own").as_posix() for path in paths}
    assert len(held_out) == -(-count // 5)


def test_one_texture_cannot_serve_both_splits() -> None:
    textures(Path("own"), 1)
    with pytest.raises(DataError, match=r"own holds 1 texture.*none is left for train.*two"):
        texture_origins("own", "train")


@pytest.mark.parametrize("folder", [DEFAULT, Path("own")], ids=["default", "own"])
def test_rows_name_texture_files_and_rebuild(folder: Path) -> None:
    paths = textures(folder, 10)
    chosen = CHOSEN.model_copy(update={"textures": str(folder)})
    manifest = study(Path("parts"))
    write_bank(manifest, Path("parts"), Path("bank"), "mine", chosen)
    known = {path.relative_to(folder).as_posix() for path in paths}
    used = {}
    for split in ("train", "validation"):
        rows = read_bank(Path("bank"), split)
        assert rows
        used[split] = {row.source.path for row in rows}
        for row in rows:
            assert row.settings["textures"] == str(folder)
            np.testing.assert_array_equal(rebuild(row, Path("parts")).image, read_image(row.image))
    assert not used["train"] & used["validation"]
    assert used["train"] | used["validation"] <= known
    assert len(used["train"]) > 4


def test_changed_texture_is_noticed() -> None:
    textures(Path("own"), 5)
    chosen = CHOSEN.model_copy(update={"textures": "own"})
    write_bank(study(Path("parts")), Path("parts"), Path("bank"), "mine", chosen)
    row = read_bank(Path("bank"), "train")[0]
    save(Path("own") / row.source.path, np.zeros((40, 44, 3), np.uint8))
    read_resized.cache_clear()  # as in another process
    with pytest.raises(DataError, match=rf"{row.source.path} has changed"):
        rebuild(row, Path("parts"))
    (Path("own") / row.source.path).unlink()
    with pytest.raises(DataError, match=row.source.path):
        rebuild(row, Path("parts"))


def test_damaged_texture_stops_the_bank() -> None:
    for path in textures(Path("own"), 5):
        path.write_bytes(b"no image")
    chosen = CHOSEN.model_copy(update={"textures": "own"})
    with pytest.raises(DataError, match="cannot decode"):
        write_bank(study(Path("parts")), Path("parts"), Path("bank"), "mine", chosen)
    assert not Path("bank").exists()


def test_other_generators_leave_the_folder_alone() -> None:
    chosen = CHOSEN.model_copy(update={"textures": "nowhere", "generator": "cutpaste"})
    write_bank(study(Path("parts")), Path("parts"), Path("bank"), "mine", chosen)
    assert read_bank(Path("bank"), "train")


def test_folder_name_must_not_be_empty() -> None:
    with pytest.raises(ValidationError, match="textures"):
        SynthesizeSettings(textures="")
