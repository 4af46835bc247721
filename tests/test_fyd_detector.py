"""FYD and PaDiM from images to scores."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flow_cases import grain, seeded, spotted, training_data
from fyd_cases import SIZE, WHOLE, noisy, part, parts, parts_data, poses, small, small_settings
from pydantic import ValidationError

from clflow.data.images import ArrayImages
from clflow.detectors.gaussian.detector import FydDetector
from clflow.detectors.protocol import Scores, Workspace
from clflow.detectors.registry import find_method, merged
from clflow.errors import SettingsError, TrainingError
from clflow.synthesis.training_data import TrainingData
from clflow.training import loop

TEST = ArrayImages(grain(4, 9) + spotted(grain(4, 10))[0])
PARTS = ArrayImages(parts(6, 20) + parts(6, 21, spot=True))
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "padim": ("padim", {}),
    "fyd": ("fyd", {}),
    "whole": ("fyd", WHOLE),
}


@pytest.fixture(autouse=True)
def repeatable() -> Iterator[None]:
    """Refuse what the stages refuse: operations whose result varies from run to run."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def assert_same(one: Scores, other: Scores) -> None:
    np.testing.assert_array_equal(one.image_scores, other.image_scores)
    np.testing.assert_array_equal(one.anomaly_maps, other.anomaly_maps)


@pytest.mark.parametrize("variant", VARIANTS)
def test_fit_score_save_load(variant: str, tmp_path: Path) -> None:
    method, changes = VARIANTS[variant]
    workspace = Workspace(features=tmp_path / "features")
    detector = small(method, **changes).fit(parts_data(), seeded(), workspace)
    scores = detector.score(PARTS)
    assert scores.image_scores.shape == (12,)
    assert scores.anomaly_maps.shape == (12, SIZE, SIZE)
    np.testing.assert_array_equal(scores.anomaly_maps.max((1, 2)), scores.image_scores)
    detector.save(tmp_path / "model")
    loaded = FydDetector.load(tmp_path / "model")
    assert_same(loaded.score(PARTS, workspace), scores)
    assert {path.suffix for path in (tmp_path / "model").iterdir()} == {".safetensors", ".json"}


@pytest.mark.parametrize("method", ["padim", "fyd"])
def test_spotted_textures_score_higher_where_the_spot_is(method: str) -> None:
    scores = small(method).fit(training_data(), seeded()).score(TEST)
    assert scores.image_scores[:4].max() < scores.image_scores[4:].min()
    row, column = np.unravel_index(scores.anomaly_maps[5].argmax(), (SIZE, SIZE))
    assert 16 <= row < 44
    assert 20 <= column < 48


def separation(scores: Scores) -> float:
    """Return how far defective parts score above good ones, in deviations of the latter."""
    good, defective = scores.image_scores[:6], scores.image_scores[6:]
    return float((defective.mean() - good.mean()) / good.std())


def test_registration_tells_defects_of_turned_parts_apart_and_where_they_are() -> None:
    aligned = small("fyd").fit(parts_data(40), seeded())
    unaligned = small("fyd", image_alignment={"kind": "none"}).fit(parts_data(40), seeded())
    assert aligned.alignment_ is not None
    assert aligned.alignment_.active_
    scores = aligned.score(PARTS)
    assert separation(scores) > 2 * separation(unaligned.score(PARTS))
    for (angle, shift), found in zip(poses(6, 21), scores.anomaly_maps[6:], strict=True):
        spot = np.array([np.cos(angle), np.sin(angle)]) * -15 + shift + SIZE / 2
        row, column = np.unravel_index(found.argmax(), found.shape)
        assert np.hypot(column - spot[0], row - spot[1]) < 8


@pytest.mark.parametrize("kind", ["registration", "both"])
def test_textures_are_left_as_they_are(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    detector = small("fyd", image_alignment={"kind": kind}).fit(training_data(20), seeded())
    assert detector.alignment_ is not None
    assert not detector.alignment_.active_
    assert f"image alignment ({kind}) off: distance between held-out" in capsys.readouterr().out
    off = small("fyd", image_alignment={"kind": "none"}).fit(training_data(20), seeded())
    assert_same(detector.score(TEST), off.score(TEST))


def test_decision_is_printed_stored_and_can_be_overruled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = TrainingData(ArrayImages(noisy([part(0.3)] * 12, 0)))
    asked = small("fyd").fit(data, seeded())
    told = small("fyd", image_alignment={"decide": False}).fit(data, seeded())
    assert asked.alignment_ is not None
    assert told.alignment_ is not None
    assert (asked.alignment_.active_, told.alignment_.active_) == (False, True)
    assert "kept anyway" in capsys.readouterr().out
    asked.save(tmp_path)
    loaded = FydDetector.load(tmp_path).alignment_
    assert loaded is not None
    assert (loaded.active_, loaded.gain_) == (False, asked.alignment_.gain_)


@pytest.mark.parametrize("feature", [False, True])
def test_fine_alignment_is_left_out_where_image_alignment_does_not_pay(
    feature: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    still = TrainingData(ArrayImages(noisy([part(0.3)] * 12, 0)))
    turned = {"feature_alignment": {"enabled": feature}, "fine_alignment": {"enabled": True}}
    refused = small("fyd", **turned).fit(still, seeded())
    assert "fine alignment off" in capsys.readouterr().out
    plain = small("fyd").fit(still, seeded())
    assert_same(refused.score(TEST), plain.score(TEST))
    refused.save(tmp_path)
    assert_same(FydDetector.load(tmp_path).score(TEST), plain.score(TEST))
    told = small("fyd", **merged(turned, {"fine_alignment": {"decide": False}}))
    assert told.fit(still, seeded()).network_ is not None
    assert small("fyd", **turned).fit(parts_data(), seeded()).network_ is not None


def test_fyd_with_every_part_off_is_padim() -> None:
    off = {
        "image_alignment": {"kind": "none"},
        "density": find_method("padim").defaults["density"],
    }
    padim, fyd = (
        small(method, **changes).fit(training_data(), seeded()).score(TEST)
        for method, changes in (("padim", {}), ("fyd", off))
    )
    assert_same(fyd, padim)


def test_transformers_that_have_not_learned_change_nothing() -> None:
    """Rates too small to move a weight: all parts are on, none does anything."""
    still = {"learning_rate": 1e-30}
    idle = {
        "image_alignment": {"kind": "learned", "decide": False, "learned": still},
        "feature_alignment": {"enabled": True},
        "fine_alignment": {"enabled": True, **still},
    }
    plain = small("fyd", image_alignment={"kind": "none"}).fit(training_data(), seeded())
    moved = small("fyd", **idle).fit(training_data(), seeded())
    wanted = plain.score(TEST).anomaly_maps
    np.testing.assert_allclose(moved.score(TEST).anomaly_maps, wanted, rtol=0.02)


def test_parts_that_learn_change_the_scores() -> None:
    plain = small("fyd", image_alignment={"kind": "none"}).fit(training_data(), seeded())
    for feature in (False, True):
        fast = {"enabled": True, "learning_rate": 0.01}
        changes = {"feature_alignment": {"enabled": feature}, "fine_alignment": fast}
        learned = small("fyd", **merged(changes, {"image_alignment": {"kind": "none"}}))
        scores = learned.fit(training_data(), seeded()).score(TEST)
        assert not np.allclose(scores.anomaly_maps, plain.score(TEST).anomaly_maps, rtol=0.02)


def test_same_generator_seed_gives_the_same_scores() -> None:
    one, same, other = (
        small("fyd", **WHOLE).fit(parts_data(), seeded(seed)).score(PARTS) for seed in (1, 1, 2)
    )
    assert_same(one, same)
    assert not np.array_equal(one.image_scores, other.image_scores)


def test_seed_chooses_the_channels_of_padim() -> None:
    one, other = (
        small("padim").fit(training_data(), seeded(seed)).score(TEST).image_scores
        for seed in (1, 2)
    )
    assert not np.array_equal(one, other)


def test_scores_do_not_depend_on_the_other_images() -> None:
    detector = small("fyd", **WHOLE).fit(parts_data(), seeded())
    alone = detector.score(ArrayImages([PARTS[7]]))
    whole = detector.score(PARTS)
    np.testing.assert_allclose(alone.image_scores, whole.image_scores[7:8], rtol=1e-3)


@pytest.mark.parametrize("broken_at", [1, 3])
def test_a_resumed_run_ends_as_an_unbroken_one(
    broken_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken = small("fyd", **WHOLE).fit(parts_data(), seeded(3))
    workspace = Workspace(checkpoint=tmp_path / "seed-0.safetensors")
    guard, count = loop._guard, 0

    def interrupted(found: loop.Step, history: Any, course: loop.Course) -> None:
        nonlocal count
        count += course.label == "fine alignment"
        if count > broken_at:
            raise KeyboardInterrupt
        guard(found, history, course)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_guard", interrupted)
        with pytest.raises(KeyboardInterrupt):
            small("fyd", **WHOLE).fit(parts_data(), seeded(3), workspace)
    resumed = small("fyd", **WHOLE).fit(parts_data(), seeded(3), workspace)
    assert_same(resumed.score(PARTS), unbroken.score(PARTS))
    assert resumed.history_ == unbroken.history_


def test_history_has_both_trainings_one_after_the_other() -> None:
    history = small("fyd", **WHOLE).fit(parts_data(), seeded()).history_
    steps = [row["step"] for row in history]
    assert steps == sorted(set(steps))
    image = [row for row in history if "image_loss" in row]
    fine = [row for row in history if "feature_std" in row]
    assert len(image) + len(fine) == len(history)
    assert image[-1]["step"] < fine[0]["step"]
    assert all(row["image_loss"] >= row["image_distance"] for row in image)
    assert all(row["feature_std"] > 0 and row["embedding_std"] > 0 for row in fine)


def test_collapse_is_an_error() -> None:
    """Without the stop-gradient, and fast, features of all places become one."""
    collapsing = {
        "enabled": True,
        "steps": 60,
        "learning_rate": 0.05,
        "backbone_rate": 1.0,
        "stop_gradient": False,
        "floor": 0.8,
    }
    detector = small("fyd", image_alignment={"kind": "none"}, fine_alignment=collapsing)
    with pytest.raises(TrainingError, match=r"collapsed: .* below .* lower fine_alignment"):
        detector.fit(parts_data(), seeded())


def test_divergence_is_an_error() -> None:
    diverging = {"enabled": True, "steps": 40, "learning_rate": 1e12, "floor": 0.0}
    detector = small("fyd", image_alignment={"kind": "none"}, fine_alignment=diverging)
    with pytest.raises(TrainingError, match="fine alignment diverged at step"):
        detector.fit(parts_data(), seeded())


def test_no_images_give_no_scores() -> None:
    scores = small("padim").fit(training_data(), seeded()).score(ArrayImages([]))
    assert scores.anomaly_maps.shape == (0, SIZE, SIZE)


def test_loading_with_another_backbone_is_refused(tmp_path: Path) -> None:
    detector = small("padim").fit(training_data(), seeded())
    detector.save(tmp_path)
    text = (tmp_path / "model.json").read_text()
    (tmp_path / "model.json").write_text(text.replace(detector.store.fingerprint, "0" * 64))
    with pytest.raises(SettingsError, match="differ from those it was trained with"):
        FydDetector.load(tmp_path)


@pytest.mark.parametrize(
    "name", ["resnet18", pytest.param("wide_resnet50_2", marks=pytest.mark.slow)]
)
def test_other_backbones(name: str, tmp_path: Path) -> None:
    backbone = {"name": name, "weights": "random"}
    fine = {"feature_alignment": {"enabled": True}, "fine_alignment": {"enabled": True}}
    small_density = {"density": {"channels": 20}}
    detector = small("fyd", backbone=backbone, **merged(fine, small_density))
    scores = detector.fit(parts_data(12), seeded()).score(PARTS)
    assert np.isfinite(scores.anomaly_maps).all()
    detector.save(tmp_path)
    assert_same(FydDetector.load(tmp_path).score(PARTS), scores)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"feature_alignment": {"enabled": True}}, "enable fine_alignment too"),
        ({"image_alignment": {"kind": "ica"}}, "'registration', 'learned'"),
        ({"image_size": 250}, "multiple of 32"),
        ({"backbone": {"name": "resnet81"}}, "did you mean 'resnet18'"),
        ({"backbone": {"name": "resnet18"}}, "no bundled weights"),
        (
            {"backbone": {"name": "cait_m48_448", "weights": "random"}, "image_size": 448},
            "is a transformer",
        ),
    ],
)
def test_settings_refuse(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        small_settings("fyd", **changes)
