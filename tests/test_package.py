"""Packages: whole or one clear error, nothing executed, the same bytes again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from flow_cases import grain

import clflow
from clflow.data.images import to_rgb8, write_png
from clflow.decision.package import read_package
from clflow.decision.sealing import BACKBONE, CALIBRATION, CARD, CONTENTS, PROBES, seal
from clflow.errors import DataError, SettingsError
from clflow.files import digest_of

GOOD = grain(24, 0)
SMALL: dict[str, Any] = {"image_size": 64}


@pytest.fixture(scope="module")
def padim() -> clflow.Detector:
    return clflow.fit(GOOD, method="padim", false_alarm_rate=0.2, **SMALL)


@pytest.fixture
def package(padim: clflow.Detector, tmp_path: Path) -> Path:
    padim.save(tmp_path / "part.clflow")
    return tmp_path / "part.clflow"


def test_a_package_says_what_it_is(padim: clflow.Detector, package: Path) -> None:
    contents = json.loads((package / CONTENTS).read_text())
    assert contents["data"]["train"] == 16
    assert contents["data"]["held_out"] == 8
    assert contents["data"]["sizes"] == [[64, 64, 16]]
    assert contents["backbone"] == {"name": "efficientnet_lite0", "included": True}
    assert padim.calibration_ is not None
    card = (package / CARD).read_text()
    assert f"| {padim.calibration_.image.threshold:.6g} | image is anomalous | 0.2 |" in card
    assert "16 good images, with 8 others held out" in card
    assert not list(package.glob("*.p*kl*"))


def test_a_loaded_package_saves_the_same_bytes(package: Path, tmp_path: Path) -> None:
    clflow.load(package).save(tmp_path / "again.clflow")
    names = sorted(path.name for path in package.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "again.clflow").iterdir())
    for name in names:
        assert (tmp_path / "again.clflow" / name).read_bytes() == (package / name).read_bytes(), (
            name
        )


def test_a_package_decides_as_the_detector(padim: clflow.Detector, package: Path) -> None:
    loaded = clflow.load(package)
    assert loaded.package_ == read_package(package).digest
    for one, two in zip(padim.predict(GOOD[:3]), loaded.predict(GOOD[:3]), strict=True):
        assert (one.score, one.decision, one.regions) == (two.score, two.decision, two.regions)
        np.testing.assert_array_equal(one.anomaly_map, two.anomaly_map)
    assert [each.shape for each in loaded.probes_] == [(64, 64, 3)] * len(loaded.probes_)


def test_the_backbone_comes_from_the_package(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent() -> None:
        raise AssertionError("the package was not asked")

    monkeypatch.setattr("clflow.features.backbone.bundled_weights", absent)
    assert clflow.load(package).settings["backbone"]["weights"] == "bundled"  # type: ignore[index]


def test_without_a_backbone_its_weights_must_be_those(
    padim: clflow.Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    padim.save(tmp_path / "lean", backbone=False)
    assert not (tmp_path / "lean" / BACKBONE).exists()
    assert clflow.load(tmp_path / "lean").predict(GOOD[0]).score == padim.predict(GOOD[0]).score
    from clflow.features import backbone

    others = {name: value + 1 for name, value in backbone.bundled_weights().items()}
    monkeypatch.setattr(backbone, "bundled_weights", lambda: others)
    with pytest.raises(SettingsError, match="differ from those it was trained with"):
        clflow.load(tmp_path / "lean")


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_changed_byte_in_any_file_is_one_clear_error(package: Path) -> None:
    for path in sorted(package.iterdir()):
        whole = path.read_bytes()
        flipped(path)
        with pytest.raises(DataError, match=rf"{path.name}.*(has changed|cannot be read)"):
            clflow.load(package)
        path.unlink()
        with pytest.raises(DataError, match=path.name):
            clflow.load(package)
        path.write_bytes(whole)
    clflow.load(package)


def resealed(package: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Write package.json with a change and the digest that fits it, as an attacker would."""
    contents = json.loads((package / CONTENTS).read_text())
    change(contents)
    contents["digest"] = digest_of({k: v for k, v in contents.items() if k != "digest"})
    (package / CONTENTS).write_text(json.dumps(contents))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda c: c.update(format=99, clflow="9.0"), r"format 99, written by clflow 9\.0"),
        (lambda c: c.update(format="1"), "does not say its format"),
        (lambda c: c.pop("files"), "does not say its files"),
        (lambda c: c.update(files=[]), "lists no files"),
        (lambda c: c["files"].update({"../x": {}}), r"'\.\./x', which is no plain file name"),
        (lambda c: c["files"].update({"/etc/passwd": {}}), "no plain file name"),
        (lambda c: c["files"].update({"..": {}}), "no plain file name"),
        (lambda c: c["files"].update({"gone.bin": {}}), "lacks gone.bin"),
        (lambda c: c.update(method="padim2"), "name another method"),
        (lambda c: c.update(seed=9), "name another seed"),
        (lambda c: c.update(data={}), "malformed"),
        (lambda c: c.update(region={"border": -1, "mask": False}), "border is -1"),
    ],
)
def test_a_package_that_is_none_of_ours_is_one_clear_error(
    package: Path, change: Callable[[dict[str, Any]], Any], complaint: str
) -> None:
    resealed(package, change)
    with pytest.raises((DataError, SettingsError), match=complaint):
        clflow.load(package)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, "\xff"])
def test_a_description_that_is_no_description(package: Path, text: str) -> None:
    (package / CONTENTS).write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=r"package\.json"):
        clflow.load(package)


def test_a_link_out_of_the_package_is_refused(package: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    (package / CALIBRATION).rename(target)
    (package / CALIBRATION).symlink_to(target)
    with pytest.raises(DataError, match="is a link"):
        clflow.load(package)


@pytest.mark.parametrize("name", [CALIBRATION, PROBES])
def test_content_that_was_hashed_but_means_nothing(package: Path, name: str) -> None:
    (package / name).write_bytes(b'{"scores": []}')
    contents = json.loads((package / CONTENTS).read_text())
    seal(package, {k: v for k, v in contents.items() if k not in ("files", "digest")})
    with pytest.raises(DataError):
        clflow.load(package)


def test_thresholds_are_set_anew_without_training(package: Path, tmp_path: Path) -> None:
    detector = clflow.load(package)
    before = detector.calibration_
    assert before is not None
    weights = (package / "model.safetensors").read_bytes()
    brighter = [np.clip(image.astype(int) + 40, 0, 255).astype(np.uint8) for image in grain(12, 5)]
    detector.calibrate(brighter, false_alarm_rate=0.1, review_rate=0.3)
    after = detector.calibration_
    assert after is not None
    assert (len(after.scores), after.rates.image, after.rates.review) == (12, 0.1, 0.3)
    np.testing.assert_array_equal(after.reference, before.scores)
    detector.save(tmp_path / "anew")
    assert (tmp_path / "anew" / "model.safetensors").read_bytes() == weights
    assert (tmp_path / "anew" / "shift.png").is_file()
    again = clflow.load(tmp_path / "anew").calibration_
    assert again is not None
    assert again.as_dict() == after.as_dict()


def test_an_ignored_part_cannot_move_a_decision(tmp_path: Path) -> None:
    mask = np.zeros((64, 64), bool)
    mask[40:, 40:] = True
    detector = clflow.fit(GOOD, method="padim", ignore=mask, border=2, **SMALL)
    detector.save(tmp_path / "part")
    loaded = clflow.load(tmp_path / "part")
    plain, marked = GOOD[0].copy(), GOOD[0].copy()
    marked[42:62, 42:62] = (255, 0, 0)
    marked[:2] = 0
    one, two = loaded.predict([plain, marked])
    assert (one.score, one.regions) == (two.score, two.regions)
    np.testing.assert_array_equal(one.anomaly_map, two.anomaly_map)
    marked[10:30, 10:30] = (255, 0, 0)
    assert loaded.predict(marked).score > one.score


@pytest.mark.parametrize(("count", "held_out"), [(2, 0), (3, 0), (4, 1), (9, 2), (16, 8), (24, 8)])
def test_few_images_leave_enough_to_learn_from(count: int, held_out: int) -> None:
    detector = clflow.fit(GOOD[:count], method="padim", **SMALL)
    found = detector.calibration_
    assert (0 if found is None else len(found.scores)) == held_out
    prediction = detector.predict(GOOD[-1])
    assert (prediction.decision is None) == (held_out == 0)


def test_twelve_bits_in_sixteen_are_read_as_such_ever_after(tmp_path: Path) -> None:
    deep = [image.astype(np.uint16) * 16 for image in GOOD]
    detector = clflow.fit(deep, method="padim", **SMALL)
    detector.save(tmp_path / "deep")
    loaded = clflow.load(tmp_path / "deep")
    assert loaded.reading_.white == 4095
    found = loaded.predict(deep[:3])
    expected = loaded.predict([to_rgb8(image, 4095) for image in deep[:3]])
    assert [each.score for each in found] == [each.score for each in expected]
    cv2.imwrite(str(tmp_path / "deep.png"), deep[0][..., ::-1])
    # of another batch, so up to rounding
    assert loaded.predict(tmp_path / "deep.png").score == pytest.approx(found[0].score, rel=1e-5)


@pytest.mark.parametrize("method", ["padim", "fastflow"])
def test_cross_calibration_gives_up_no_image(method: str, tmp_path: Path) -> None:
    settings = SMALL if method == "padim" else {**SMALL, "training": {"steps": 3, "batch_size": 4}}
    detector = clflow.fit(GOOD, method=method, calibration="cross", **settings)
    found = detector.calibration_
    assert found is not None
    assert len(found.scores) == len(found.peaks) == len(GOOD)
    assert found.image.kept
    plain = clflow.Detector(method, settings).fit(GOOD, calibration="cross").decision_function(GOOD)
    np.testing.assert_array_equal(plain, detector.decision_function(GOOD))
    detector.save(tmp_path / "crossed")
    again = clflow.load(tmp_path / "crossed").calibration_
    assert again is not None
    assert again.as_dict() == found.as_dict()
    assert (
        "each scored by a detector that did not learn from it"
        in (tmp_path / "crossed" / CARD).read_text()
    )


def test_calibrations_that_cannot_be_are_named() -> None:
    with pytest.raises(SettingsError, match="allowed are split and cross"):
        clflow.fit(GOOD, method="padim", calibration="jackknife", **SMALL)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="9 good images are too few"):
        clflow.fit(GOOD[:9], method="padim", calibration="cross", **SMALL)


def test_a_mask_among_the_images_is_no_image(tmp_path: Path) -> None:
    for index, image in enumerate(GOOD[:8]):
        write_png(tmp_path / f"{index}.png", image)
    mask = np.zeros((64, 64), bool)
    mask[:8] = True
    write_png(tmp_path / "ignore.png", mask)
    detector = clflow.fit(tmp_path, method="padim", ignore=tmp_path / "ignore.png", **SMALL)
    contents = detector._origin["data"]
    assert contents["train"] + contents["held_out"] == 8
