"""The train stage: what it is given, what it leaves behind, and what an interruption costs."""

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bright_detector import BRIGHT, BrightDetector
from scipy import ndimage

from clflow.data.images import ArrayImages, read_image, resize_image, write_png
from clflow.data.records import Manifest, Record
from clflow.errors import DataError, SettingsError
from clflow.files import sha256_of
from clflow.pipeline.inputs import image_files, training_data, validation_anomalies
from clflow.pipeline.train import Material, Run, load_run, train_seeds, write_losses
from clflow.study.paths import RUNS
from clflow.synthesis.bank import write_bank
from clflow.synthesis.settings import SynthesizeSettings
from clflow.synthesis.synthetic import component_boxes
from clflow.synthesis.training_data import TrainingData

RUN = Run("small", "mine", "cloth", BRIGHT, {"size": 16, "gain": 0.5}, "manifest", "bank")
DATA = TrainingData(ArrayImages([np.zeros((16, 16, 3), np.uint8)]))


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the models go, in an empty working directory; no seed is interrupted."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(BrightDetector, "fits", [])
    monkeypatch.setattr(BrightDetector, "interrupted", set())
    return Path("models/small/bright/cloth")


def train(run: Run, out: Path, *seeds: int) -> dict[int, float]:
    return train_seeds(run, Material(DATA), seeds, out)


def interrupt(run: Run, out: Path, *seeds: int, at: int) -> None:
    BrightDetector.interrupted.add(at)
    with pytest.raises(KeyboardInterrupt):
        train(run, out, *seeds)
    BrightDetector.interrupted.clear()


def fitted() -> list[int]:
    """Return the seeds fitted since the last call."""
    seeds = [seed for seed, _ in BrightDetector.fits]
    BrightDetector.fits.clear()
    return seeds


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_every_seed_gets_a_whole_folder_and_nothing_else_stays(out: Path) -> None:
    seconds = train(RUN, out, 0, 7)
    assert fitted() == [0, 7] == list(seconds)
    names = ("history.csv", "model.json", "package.json", "run.json")
    assert files_below(Path()) == {f"{out}/seed-{seed}/{name}" for seed in (0, 7) for name in names}


def test_run_file_says_what_the_model_was_made_from(out: Path) -> None:
    train(RUN, out, 7)
    told = json.loads((out / "seed-7" / "run.json").read_text())
    versions, device = told.pop("versions"), told.pop("device")
    assert told == {
        "study": "small",
        "dataset": "mine",
        "category": "cloth",
        "method": "bright",
        "seed": 7,
        "settings": {"size": 16, "gain": 0.5},
        "digests": {"manifest": "manifest", "bank": "bank"},
    }
    assert {"python", "torch", "numpy"} <= versions.keys()
    assert device in ("cpu", "cuda")


def test_history_has_a_column_for_every_quantity(out: Path) -> None:
    train(RUN, out, 0, 1)
    losses = []
    for seed in (0, 1):
        with (out / f"seed-{seed}" / "history.csv").open(newline="") as file:
            first, last = csv.DictReader(file)
        assert (first["step"], first["nll"]) == ("0.0", "")
        assert last == {"step": "1.0", "loss": "0.5", "nll": "0.25"}
        losses.append(first["loss"])
    assert losses[0] != losses[1], "seeds must draw differently"


def test_trained_model_is_loaded_with_its_settings(out: Path) -> None:
    train(RUN, out, 0)
    detector = load_run(BRIGHT, out / "seed-0")
    white = ArrayImages([np.full((8, 8, 3), 255, np.uint8)])
    assert detector.score(white).image_scores.tolist() == [127.5]


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"size": "wide"}'])
def test_model_that_cannot_be_read_is_one_clear_error(out: Path, content: str | None) -> None:
    train(RUN, out, 0)
    path = out / "seed-0" / "model.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=r"seed-0 cannot be read .* run `dvc repro`"):
        load_run(BRIGHT, out / "seed-0")


def test_unknown_setting_is_named(out: Path) -> None:
    run = replace(RUN, settings={"size": 16, "gian": 0.5})
    with pytest.raises(SettingsError, match=r"train\.bright\.gian: unknown key.*'gain'"):
        train(run, out, 0)


def test_finished_seeds_survive_an_interruption(out: Path) -> None:
    interrupt(RUN, out, 0, 1, 2, at=1)
    assert fitted() == [0, 1]
    seconds = train(RUN, out, 0, 1, 2)
    assert fitted() == [1, 2]
    assert seconds[0] == 0
    assert {path.name for path in out.iterdir()} == {"seed-0", "seed-1", "seed-2"}


def test_resumed_models_are_those_of_an_unbroken_run(out: Path) -> None:
    interrupt(RUN, out, 0, 1, at=1)
    train(RUN, out, 0, 1)
    train(RUN, out.with_name("unbroken"), 0, 1)
    for name in files_below(out):
        assert (out / name).read_bytes() == (out.with_name("unbroken") / name).read_bytes()


def test_interrupted_run_puts_nothing_in_place(out: Path) -> None:
    interrupt(RUN, out, 0, 1, at=1)
    assert all(RUNS in path.parents for path in Path().rglob("*") if path.is_file())


def test_interrupted_run_leaves_earlier_models_alone(out: Path) -> None:
    train(RUN, out, 0)
    before = {name: (out / name).read_bytes() for name in files_below(out)}
    interrupt(replace(RUN, settings={"gain": 2.0}), out, 0, at=0)
    assert {name: (out / name).read_bytes() for name in files_below(out)} == before


def test_second_try_finds_the_checkpoint_of_the_first(out: Path) -> None:
    interrupt(RUN, out, 0, 1, at=1)
    [(_, other), (_, left)] = BrightDetector.fits
    assert left is not None
    assert left.read_text() == "step 1 of seed 1"
    train(RUN, out, 0, 1)
    assert BrightDetector.fits[-1] == (1, left)
    assert other != left
    assert not left.exists()


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(replace(RUN, settings={"size": 16, "gain": 0.25}), id="setting"),
        pytest.param(replace(RUN, manifest_digest="other"), id="images"),
        pytest.param(replace(RUN, bank_digest="other"), id="anomalies"),
        pytest.param(replace(RUN, category="bolt"), id="category"),
        pytest.param(replace(RUN, method=replace(BRIGHT, name="dark")), id="method"),
        pytest.param(replace(RUN, study="large"), id="study"),
    ],
)
def test_seeds_of_another_run_are_not_taken_up(out: Path, changed: Run) -> None:
    interrupt(RUN, out, 0, 1, at=1)
    fitted()
    train(changed, out, 0, 1)
    assert fitted() == [0, 1]


def test_seeds_of_other_library_versions_are_not_taken_up(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(RUN, out, 0, 1, at=1)
    fitted()
    monkeypatch.setattr("clflow.pipeline.train.version", lambda name: "0")
    train(RUN, out, 0, 1)
    assert fitted() == [0, 1]


def test_seeds_of_other_code_are_not_taken_up(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(RUN, out, 0, 1, at=1)
    fitted()
    monkeypatch.setattr("clflow.pipeline.train.source_digest", lambda *names: "0")
    train(RUN, out, 0, 1)
    assert fitted() == [0, 1]


def cloth(rng: np.random.Generator) -> np.ndarray:
    noise = ndimage.gaussian_filter(rng.normal(0, 1, (60, 52, 3)), (2, 2, 0))
    return (120 + 30 * noise / noise.std()).clip(0, 255).astype(np.uint8)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Five images to train on and three held out, below `tmp_path`."""
    rng, records = np.random.default_rng(0), []
    for number in range(8):
        path = tmp_path / f"{number:03d}.png"
        write_png(path, cloth(rng))
        split = "train" if number < 5 else "validation"
        records.append(Record(path.name, sha256_of(path), 52, 60, 0, "good", None, split))
    return Manifest("cloth", tuple(records))


def test_image_files_are_those_of_the_records(manifest: Manifest, tmp_path: Path) -> None:
    images = image_files(tmp_path, manifest.validation)
    assert [path.name for path in images.paths] == ["005.png", "006.png", "007.png"]
    assert images.digests == tuple(record.sha256 for record in manifest.validation)
    assert len(image_files(tmp_path, ())) == 0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(Path.unlink, r"2 images are gone, first .*001\.png; restore", id="missing"),
        pytest.param(
            lambda path: write_png(path, np.zeros((60, 52, 3), np.uint8)),
            r"2 images differ from their manifest, first 001\.png; run `dvc repro`",
            id="changed",
        ),
    ],
)
def test_image_files_name_what_is_wrong(
    manifest: Manifest, tmp_path: Path, spoil: Callable[[Path], Any], message: str
) -> None:
    for name in ("001.png", "003.png"):
        spoil(tmp_path / name)
    with pytest.raises(DataError, match=message):
        image_files(tmp_path, manifest.train)


@pytest.fixture
def bank(manifest: Manifest, tmp_path: Path) -> Path:
    settings = SynthesizeSettings(
        aspect="keep",
        image_size=64,
        per_image=2,
        validation_per_image=1,
        attempts=10,
        kind="texture",
    )
    write_bank(manifest, tmp_path, tmp_path / "bank", "mine", settings)
    return tmp_path / "bank"


def test_training_data_matches_the_bank(manifest: Manifest, tmp_path: Path, bank: Path) -> None:
    data = training_data(manifest, tmp_path, bank)
    negatives = data.anomalies
    assert negatives is not None
    count = len(negatives.images)
    assert len(data.good) == 5
    assert count == len(negatives.sources) == len(negatives.boxes) > 5
    good = np.stack([resize_image(data.good[index], 73, 56) for index in range(5)]).astype(float)
    for index in range(count):
        mask = negatives.masks(index)
        assert mask.shape == (73, 56)
        assert negatives.boxes[index] == component_boxes(mask)
        change = np.abs(good - negatives.images[index]).mean(axis=3)
        assert change[:, ~mask].mean(axis=1).argmin() == negatives.sources[index]
        own = change[negatives.sources[index]]
        assert own[mask].mean() > 10 * own[~mask].mean()


def test_validation_anomalies_are_apart_from_training(
    manifest: Manifest, tmp_path: Path, bank: Path
) -> None:
    held_out = validation_anomalies(bank)
    negatives = training_data(manifest, tmp_path, bank).anomalies
    assert negatives is not None
    assert len(held_out) == 3
    assert not set(held_out.digests) & set(negatives.images.digests)
    assert all(read_image(path).shape == (73, 56, 3) for path in held_out.paths)


def test_bank_that_is_missing_is_named(manifest: Manifest, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    with pytest.raises(DataError, match=re.escape(str(missing / "train"))):
        training_data(manifest, tmp_path, missing)


def test_losses_are_those_of_the_first_seed_that_has_some(tmp_path: Path) -> None:
    models, path = tmp_path / "models", tmp_path / "loss.csv"
    for seed, text in ((0, None), (1, "epoch\n1\n"), (2, "step,loss\n0,2.5\n10,1.5\n"), (3, "")):
        (models / f"seed-{seed}").mkdir(parents=True)
        if text is not None:
            (models / f"seed-{seed}" / "history.csv").write_text(text)
    write_losses(models, (0, 1, 2, 3), path)
    assert path.read_text() == "step,loss\n0,2.5\n10,1.5\n"
    write_losses(models, (0, 1, 3), path)
    assert path.read_text() == "step,loss\n"
