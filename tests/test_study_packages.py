"""A study's model and `clflow.fit` are one: the same images, names and seed give the same bytes."""

from pathlib import Path
from typing import Any

import pytest
from flow_cases import grain, spotted

import clflow
from clflow.data.images import write_png
from clflow.data.manifest import build_manifest
from clflow.data.preparation import PrepareSettings
from clflow.decision.package import read_package
from clflow.detectors.registry import find_method
from clflow.files import sha256_of
from clflow.pipeline.inputs import image_files, training_data, validation_anomalies
from clflow.pipeline.train import Material, Run, train_seeds
from clflow.synthesis.bank import write_bank
from clflow.synthesis.settings import SynthesizeSettings

SETTINGS: dict[str, Any] = {"image_size": 64, "training": {"steps": 4, "batch_size": 4}}


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


@pytest.mark.parametrize("name", ["clflow", "padim"])
def test_a_study_trains_what_fit_gives(parts: Path, name: str) -> None:
    settings = SETTINGS if name == "clflow" else {"image_size": 64}
    method = find_method(name)
    manifest = build_manifest(parts, "grain", "mvtec_ad", PrepareSettings()).manifest
    chosen = SynthesizeSettings(image_size=64)
    write_bank(manifest, parts, Path("bank"), "parts", chosen)
    run = Run(
        study="small",
        dataset="parts",
        category="grain",
        method=method,
        settings=method.settings_model.model_validate(method.complete(settings)).model_dump(
            mode="json"
        ),
        manifest_digest=manifest.digest,
        bank_digest=sha256_of(Path("bank/train/manifest.jsonl")),
    )
    material = Material(
        training_data(manifest, parts, Path("bank")),
        image_files(parts, manifest.validation),
        validation_anomalies(Path("bank")),
        tuple((record.height, record.width) for record in manifest.train),
    )
    train_seeds(run, material, [5], Path("models"))
    clflow.fit(parts / "grain", method=name, seed=5, **settings).save("fitted")
    trained = Path("models/seed-5")
    for file in ("model.safetensors", "model.json", "calibration.json"):
        assert (trained / file).read_bytes() == (Path("fitted") / file).read_bytes(), file
    one, two = (read_package(folder).contents for folder in (trained, Path("fitted")))
    assert {**one, "files": 0, "digest": 0, "backbone": 0} == {
        **two,
        "files": 0,
        "digest": 0,
        "backbone": 0,
    }
    images = sorted(map(str, parts.glob("grain/test/*/*.png")))
    found, expected = (clflow.load(folder).predict(images) for folder in (trained, "fitted"))
    assert [each.score for each in found] == [each.score for each in expected]
    assert found[-1].decision == "anomalous"
