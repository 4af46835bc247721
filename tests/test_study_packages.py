"""A study's model and `clflow.fit` are one: the same images, names and seed give the same bytes."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from flow_cases import grain, spotted
from nsa_detector_cases import small_settings

import clflow
from clflow.data.images import read_image, read_mask, write_png
from clflow.data.manifest import build_manifest
from clflow.data.preparation import PrepareSettings
from clflow.data.records import Manifest, region_of
from clflow.decision.package import read_package
from clflow.detectors.registry import find_method
from clflow.files import sha256_of
from clflow.pipeline.evaluate import Subject, evaluate
from clflow.pipeline.inputs import image_files, training_data, validation_anomalies
from clflow.pipeline.settings import EvaluateSettings
from clflow.pipeline.train import Material, Run, train_seeds
from clflow.study.paths import StudyPaths
from clflow.synthesis.bank import write_bank
from clflow.synthesis.settings import SynthesizeSettings

SETTINGS: dict[str, Any] = {"image_size": 64, "grid": 8, "training": {"steps": 4, "batch_size": 4}}

# it decides on the kind of a category, and draws anomalies of its own while it trains
NSA = small_settings("nsa").model_dump(mode="json")


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the category `grain` in the layout of MVTec AD; the working folder is empty."""
    root = tmp_path / "parts"
    for index, image in enumerate(grain(20, 3)):
        write_png(root / "grain/train/good" / f"{index:03d}.png", image)
    for index, image in enumerate(grain(4, 4)):
        write_png(root / "grain/test/good" / f"{index:03d}.png", image)
    (image,), mask = spotted(grain(1, 7))
    write_png(root / "grain/test/spot/000.png", image)
    write_png(root / "grain/ground_truth/spot/000_mask.png", mask)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return root


def train(parts: Path, name: str, settings: dict[str, Any], prepare: PrepareSettings) -> Manifest:
    """Prepare, make the bank and train seed 5 in the working folder, as the stages do."""
    method, bank = find_method(name), StudyPaths("small").bank("grain")
    manifest = build_manifest(parts, "grain", "mvtec_ad", prepare).manifest
    write_bank(
        manifest, parts, bank, "parts", SynthesizeSettings(image_size=settings["image_size"])
    )
    run = Run(
        study="small",
        dataset="parts",
        category="grain",
        method=method,
        settings=method.settings_model.model_validate(method.complete(settings)).model_dump(
            mode="json"
        ),
        manifest_digest=manifest.digest,
        bank_digest=sha256_of(bank / "train/manifest.jsonl"),
    )
    material = Material(
        training_data(manifest, parts, bank),
        image_files(parts, manifest.validation),
        validation_anomalies(bank),
        tuple((record.height, record.width) for record in manifest.train),
        region=region_of(manifest.records, parts),
    )
    train_seeds(run, material, [5], StudyPaths("small").models(name, "grain"))
    return manifest


def ignore_a_corner(parts: Path) -> Path:
    """Write the mask of the category and return it: at half the size of the images."""
    mask = np.zeros((32, 32), bool)
    mask[:12, :14] = True
    path = parts / "grain/ignore.png"
    write_png(path, mask)
    return path


@pytest.mark.parametrize(
    ("name", "border"),
    [("clflow", None), ("padim", None), ("nsa", None), ("clflow", 2), ("padim", 2)],
)
def test_a_study_trains_what_fit_gives(parts: Path, name: str, border: int | None) -> None:
    settings = {"clflow": SETTINGS, "padim": {"image_size": 64}, "nsa": NSA}[name]
    prepare, ignored = PrepareSettings(), {}
    if border is not None:
        prepare = PrepareSettings(ignore="ignore.png", border=border)
        ignored = {"ignore": ignore_a_corner(parts), "border": border}
    train(parts, name, settings, prepare)
    clflow.fit(parts / "grain", method=name, seed=5, **ignored, **settings).save("fitted")
    trained = StudyPaths("small").model(name, "grain", 5)
    region = [] if border is None else ["ignored.png"]
    for file in ("model.safetensors", "model.json", "calibration.json", *region):
        assert (trained / file).read_bytes() == (Path("fitted") / file).read_bytes(), file
    one, two = (read_package(folder).contents for folder in (trained, Path("fitted")))
    own = {"files": 0, "digest": 0, "backbone": 0}
    assert {**one, **own} == {**two, **own}
    assert (one["region"] is None) == (border is None)
    images = sorted(map(str, parts.glob("grain/test/*/*.png")))
    found, expected = (clflow.load(folder).predict(images) for folder in (trained, "fitted"))
    assert [each.score for each in found] == [each.score for each in expected]
    # two epochs of `nsa` tell nothing yet
    assert name == "nsa" or found[-1].decision == "anomalous"


def test_what_is_ignored_changes_nothing_that_a_study_finds(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ignored = read_mask(ignore_a_corner(parts), (32, 32)).repeat(2, axis=0).repeat(2, axis=1)
    ignored[:3], ignored[-3:], ignored[:, :3], ignored[:, -3:] = True, True, True, True
    corner = np.zeros((64, 64), bool)
    corner[4:12, 4:12] = True
    # a defect that lies wholly in what is ignored
    write_png(parts / "grain/test/spot/001.png", grain(1, 8)[0])
    write_png(parts / "grain/ground_truth/spot/001_mask.png", corner)
    other, generator = tmp_path / "other/parts", np.random.default_rng(0)
    shutil.copytree(parts, other)
    for path in other.glob("grain/t*/*/*.png"):
        noise = generator.integers(0, 256, (64, 64, 3), np.uint8)
        write_png(path, np.where(ignored[..., None], noise, read_image(path)))
    prepare, found = PrepareSettings(ignore="ignore.png", border=3), []
    for root in (parts, other):
        here = root / "here"
        here.mkdir()
        monkeypatch.chdir(here)
        manifest = train(root, "clflow", SETTINGS, prepare)
        bank = StudyPaths("small").bank("grain")
        subject = Subject("small", "parts", find_method("clflow"), manifest, root, bank, "bank")
        evaluate(subject, [5], EvaluateSettings(masks="native"))
        package = StudyPaths("small").model("clflow", "grain", 5)
        result = json.loads(StudyPaths("small").result("clflow", "grain").read_bytes())
        images = sorted(map(str, root.glob("grain/test/*/*.png")))
        scores = pd.read_parquet(StudyPaths("small").scores("clflow", "grain") / "seed-5.parquet")
        found.append(
            {
                "splits": [(record.path, record.split) for record in manifest.records],
                "contents": [record.sha256 for record in manifest.records],
                "bank": {path.name: path.read_bytes() for path in bank.rglob("train/images/*")},
                "calibration": (package / "calibration.json").read_bytes(),
                "scores": scores.to_csv(),
                "pictures": {
                    path.name: path.read_bytes()
                    for path in StudyPaths("small").overlays("clflow", "grain").iterdir()
                },
                "results": [result[key] for key in ("protocol", "counts", "seeds")],
                "regions": [each.regions for each in clflow.load(package).predict(images)],
            }
        )
        for path in bank.glob("*/images/*.png"):
            painted = read_image(path)[ignored]
            # a few, as anomalies may lie there too
            assert (painted == 128).all(axis=1).mean() > 0.5, path
    one, two = found
    assert not set(one.pop("contents")) & set(two.pop("contents"))
    for name in one:
        assert one[name] == two[name], name
    protocol, counts, seeds = one["results"]
    assert protocol["ignored"].startswith("3 pixels from each edge and the pixels of the category")
    assert (counts["test_without_mask"], counts["test_wholly_ignored"]) == (1, 1)
    assert seeds["5"]["pixel_auroc"] is not None
