"""The registry of methods: what their files say, and what is asked of their names."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from bright_detector import BRIGHT
from pydantic import ValidationError

from clflow.data.images import ArrayImages
from clflow.detectors.registry import (
    METHODS,
    MethodFile,
    find_method,
    merged,
    method_sections,
    read_method_file,
)
from clflow.errors import SettingsError
from clflow.pipeline import presets
from clflow.pipeline.train import Material, Run, run_notes, train_seeds
from clflow.synthesis.training_data import TrainingData

PEERS = [name for name in METHODS if name.startswith("anomalib.")]
ABSENT = replace(BRIGHT, requires=("json", "no_such_package"))


@pytest.mark.parametrize("name", METHODS)
def test_defaults_are_valid_settings(name: str) -> None:
    method = find_method(name)
    complete = method.complete({})
    dumped = method.settings_model.model_validate(complete).model_dump(mode="json")
    if "backbone" in complete:
        complete["backbone"] = {"levels": None, "sha256": None, **complete["backbone"]}
    assert dumped == complete


@pytest.mark.parametrize("name", METHODS)
def test_notes_name_settings_that_exist(name: str) -> None:
    method = find_method(name)
    notes = method.describe(method.complete({}))
    assert "{" not in notes
    assert "\n" not in notes


def test_notes_follow_the_settings() -> None:
    method = find_method("anomalib.patchcore")
    complete = method.complete({"parameters": {"coreset_sampling_ratio": 0.01}})
    assert "coreset of 1%" in method.describe(complete)


@pytest.mark.parametrize("name", PEERS)
def test_every_peer_says_in_what_it_differs_and_what_it_needs(name: str) -> None:
    file = read_method_file(name)
    assert file.notes.startswith("anomalib")
    assert "anomalib" in file.requires


def test_file_with_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="extra"):
        MethodFile.model_validate(
            {"settings": "a:b", "detector": "a:b", "defaults": {}, "note": ""}
        )


@pytest.mark.parametrize(
    ("name", "suggested"), [("fastflo", "fastflow"), ("anomalib.patchcor", "anomalib.patchcore")]
)
def test_unknown_method_suggests_the_nearest(name: str, suggested: str) -> None:
    with pytest.raises(SettingsError, match=f"did you mean '{suggested}'"):
        find_method(name)


@pytest.mark.parametrize(
    ("name", "section", "key"),
    [("clflow", "training", "steps"), ("anomalib.stfpm", "training", "epochs")],
)
@pytest.mark.parametrize(("fraction", "expected"), [(1.0, 200), (0.25, 50), (0.001, 1)])
def test_shortened_scales_the_length_and_nothing_else(
    name: str, section: str, key: str, fraction: float, expected: int
) -> None:
    method = find_method(name)
    settings = method.complete({section: {key: 200}})
    assert method.shortened(settings, fraction) == merged(settings, {section: {key: expected}})


@pytest.mark.parametrize("name", ["anomalib.patchcore", "anomalib.padim"])
def test_what_does_not_iterate_is_not_shortened(name: str) -> None:
    method = find_method(name)
    settings = method.complete({})
    assert method.shortened(settings, 0.1) == settings


def test_sections_of_a_library_are_nested() -> None:
    sections = {"clflow": {"image_size": 64}, "anomalib": {"padim": {"image_size": 32}, "x": None}}
    assert dict(method_sections(sections)) == {
        "clflow": {"image_size": 64},
        "anomalib.padim": {"image_size": 32},
        "anomalib.x": None,
    }


@pytest.mark.parametrize("section", [None, 3, []])
def test_section_of_a_library_that_holds_no_keys_is_left_to_the_check(section: object) -> None:
    assert list(method_sections({"anomalib": section})) == [("anomalib", section)]


def test_missing_extra_is_one_clear_error() -> None:
    with pytest.raises(SettingsError) as caught:
        ABSENT.detector_class()
    assert str(caught.value) == (
        "method 'bright' needs no_such_package, which the extra `peers` brings: run `make peers`, "
        "or leave the method out of study.methods"
    )


def test_missing_extra_stops_training_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Run("small", "mine", "cloth", ABSENT, {"size": 16}, "manifest", "bank")
    with pytest.raises(SettingsError, match="make peers"):
        train_seeds(run, Material(TrainingData(ArrayImages([]))), [0], Path("models"))
    assert not list(tmp_path.iterdir())


def test_study_refuses_a_method_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presets, "find_method", lambda name: ABSENT)
    with pytest.raises(SettingsError, match="make peers"):
        presets.build_study("demo", presets.Choice(methods=("bright",)))


@pytest.mark.parametrize(("notes", "told"), [("square of {size}", "square of 16"), ("", "")])
def test_run_file_names_notes_and_packages_of_the_method(
    notes: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    method = replace(BRIGHT, notes=notes, requires=("pytest",))
    run = Run("small", "mine", "cloth", method, {"size": 16}, "manifest", "bank")
    train_seeds(run, Material(TrainingData(ArrayImages([]))), [0], tmp_path / "models")
    assert run_notes(tmp_path / "models/seed-0") == told
    content = json.loads((tmp_path / "models/seed-0/run.json").read_text())
    assert content["versions"]["pytest"] == pytest.__version__
