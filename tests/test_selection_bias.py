"""The selection_bias stage: it watches a training and leaves it as it is."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny_study
import torch
from flow_cases import grain, seeded, small_settings, spotted, training_data
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from clflow.data.images import ArrayImages
from clflow.detectors.flow.detector import FlowDetector
from clflow.detectors.protocol import Scores, Workspace
from clflow.detectors.registry import find_method
from clflow.errors import DataError, SettingsError, TrainingError
from clflow.files import write_json
from clflow.metrics.registry import named
from clflow.pipeline.evaluate import Subject, evaluate
from clflow.pipeline.inputs import training_data as study_data
from clflow.pipeline.params import check_params
from clflow.pipeline.selection_bias import (
    Observed,
    Watcher,
    check_same_model,
    observe,
    observed_steps,
)
from clflow.pipeline.settings import EvaluateSettings, SelectionBiasSettings
from clflow.pipeline.train import Material, Run, train_seeds
from clflow.settings import read_params
from clflow.study.paths import StudyPaths
from clflow.study.selection_bias import (
    GAP_COLUMNS,
    POINT_COLUMNS,
    CurvePoint,
    gaps,
    read_gaps,
    read_points,
)

ROOT = Path(__file__).parents[1]
FLOWS = ["fastflow", "clflow_paper", "clflow"]
TEST = ArrayImages(grain(2, 9) + spotted(grain(2, 10))[0])
SEEDS = (0, 3)


class Nosy:
    """Scores at every step, and draws from the global random state, which nothing should use."""

    def __init__(self, detector: FlowDetector) -> None:
        self.detector = detector
        self.steps: list[int] = []
        self.scores = Scores(np.empty(0), np.empty(0))

    def __call__(self, step: int) -> None:
        self.steps.append(step)
        before = torch.get_rng_state()
        self.scores = self.detector.score(TEST)
        assert torch.equal(torch.get_rng_state(), before)
        torch.manual_seed(step)
        torch.rand(3)


@pytest.mark.parametrize("method", FLOWS)
def test_an_observed_training_gives_the_weights_of_one_that_is_not(method: str) -> None:
    settings = small_settings(method)
    alone = FlowDetector(settings).fit(training_data(), seeded())
    watched = FlowDetector(settings)
    nosy = Nosy(watched)
    watched.fit(training_data(), seeded(), Workspace(observer=nosy))
    assert nosy.steps == [1, 2, 3, 4, 5, 6]
    assert watched.history_ == alone.history_
    for modules in ("normalizations_", "densities_"):
        one, other = (getattr(d, modules).state_dict() for d in (alone, watched))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)
    final = alone.score(TEST)
    np.testing.assert_array_equal(nosy.scores.image_scores, final.image_scores)
    np.testing.assert_array_equal(nosy.scores.anomaly_maps, final.anomaly_maps)


@given(total=st.integers(1, 3000), points=st.integers(1, 60))
def test_steps_are_evenly_spaced_and_end_with_the_last(total: int, points: int) -> None:
    steps = observed_steps(total, points)
    assert len(steps) == min(total, points)
    assert steps[0] >= 1
    assert steps[-1] == total
    spaces = np.diff([0, *steps])
    assert spaces.min() >= 1
    assert spaces.max() - spaces.min() <= 1


def curve(*values: float | None) -> list[CurvePoint]:
    return [CurvePoint(step=step, metrics={"auroc": value}) for step, value in enumerate(values, 1)]


@given(st.lists(st.floats(0, 1), min_size=1))
def test_a_gap_is_how_far_the_best_point_is_above_the_last(values: list[float]) -> None:
    gap = gaps(curve(*values), ["auroc"])["auroc"]
    assert gap is not None
    assert gap >= 0
    assert gap == max(values) - values[-1]


def test_one_point_leaves_nothing_to_choose_from() -> None:
    assert gaps(curve(0.3), ["auroc"]) == {"auroc": 0.0}


@pytest.mark.parametrize("values", [(None,), (None, 0.5), (0.5, None)])
def test_an_undefined_value_leaves_the_gap_undefined(values: tuple[float | None, ...]) -> None:
    assert gaps(curve(*values), ["auroc"]) == {"auroc": None}


def test_a_watcher_measures_at_its_steps_alone() -> None:
    asked: list[int] = []

    def measure(step: int) -> Mapping[str, float | None]:
        asked.append(step)
        return {"auroc": step / 10}

    watcher = Watcher((2, 5), measure)
    for step in range(1, 5):
        watcher(step)
    with pytest.raises(TrainingError, match=r"at steps \[2\] instead of \[2, 5\].*bias\.meth"):
        watcher.check_complete()
    watcher(5)
    watcher.check_complete()
    assert asked == [2, 5]
    assert watcher.points == [
        CurvePoint(step=2, metrics={"auroc": 0.2}),
        CurvePoint(step=5, metrics={"auroc": 0.5}),
    ]


@pytest.fixture
def observed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Observed:
    """A small study in the working directory, trained with two seeds."""
    monkeypatch.chdir(tmp_path)
    manifest = tiny_study.write_tiny_study()
    study, category, root = tiny_study.STUDY, tiny_study.CATEGORY, tiny_study.ROOT
    bank, method = StudyPaths(study).bank(category), find_method(tiny_study.METHOD)
    settings = tiny_study.fastflow_settings()
    run = Run(study, "mine", category, method, settings, manifest.digest, "bank")
    data = study_data(manifest, root, bank)
    train_seeds(run, Material(data), SEEDS, StudyPaths(study).models(method.name, category))
    subject = Subject(study, "mine", method, manifest, root, bank, "bank")
    return Observed(subject, settings, EvaluateSettings(), points=3)


def test_the_last_point_is_what_the_evaluate_stage_measures(observed: Observed) -> None:
    paths, place = StudyPaths(tiny_study.STUDY), (tiny_study.METHOD, tiny_study.CATEGORY)
    observe(observed, SEEDS)
    evaluate(observed.subject, SEEDS, observed.evaluate)
    report = json.loads(paths.selection_bias(*place).read_text())
    results = json.loads(paths.result(*place).read_text())["seeds"]
    assert report["seeds"].keys() == {"0", "3"}
    assert report["digests"] == {"manifest": observed.subject.manifest.digest, "bank": "bank"}
    assert "no result" in report["protocol"]["purpose"]
    for seed, seen in report["seeds"].items():
        points = seen["points"]
        assert [point["step"] for point in points] == [2, 4, 6]
        for name, value in points[-1]["metrics"].items():
            assert value == results[seed][name]
        for name in named("selection_bias"):
            values = [point["metrics"][name] for point in points]
            assert seen["gap"][name] == max(values) - values[-1]


def test_another_model_than_the_trained_one_ends_the_stage(observed: Observed) -> None:
    paths, place = StudyPaths(tiny_study.STUDY), (tiny_study.METHOD, tiny_study.CATEGORY)
    path = paths.model(*place, 3) / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"seed-3 \(model\.safetensors differs\).*--force"):
        observe(observed, SEEDS)
    assert not StudyPaths(tiny_study.STUDY).selection_biases.exists()


def test_a_seed_that_failed_is_left_out_with_a_line(
    observed: Observed, capsys: pytest.CaptureFixture[str]
) -> None:
    paths, place = StudyPaths(tiny_study.STUDY), (tiny_study.METHOD, tiny_study.CATEGORY)
    write_json(paths.model(*place, 0) / "failed.json", {"failure": "it diverged"})
    observe(observed, SEEDS)
    assert json.loads(paths.selection_bias(*place).read_text())["seeds"].keys() == {"3"}
    assert "fastflow widget seed 0: left out, its training failed" in capsys.readouterr().out


def test_models_are_compared_file_by_file(tmp_path: Path) -> None:
    detector = FlowDetector(small_settings("fastflow")).fit(training_data(), seeded())
    detector.save(tmp_path)
    (tmp_path / "history.csv").write_text("not of the model")
    check_same_model(detector, tmp_path)
    (tmp_path / "model.json").unlink()
    with pytest.raises(TrainingError, match=r"\(model\.json differs\)"):
        check_same_model(detector, tmp_path)


def write_report(folder: Path, method: str, category: str, *seeds: list[float | None]) -> Path:
    """Write a file of which each seed has these values of one metric, one a step."""
    curves = {
        seed: {
            "points": [point.model_dump() for point in curve(*values)],
            "gap": gaps(curve(*values), ["auroc"]),
        }
        for seed, values in enumerate(seeds)
    }
    names = {"study": folder.name, "dataset": "d", "category": category, "method": method}
    path = folder / method / f"{category}.json"
    write_json(path, {**names, "protocol": {}, "digests": {}, "seeds": curves})
    return path


def test_nothing_observed_gives_empty_tables(tmp_path: Path) -> None:
    for read, columns in ((read_gaps, GAP_COLUMNS), (read_points, POINT_COLUMNS)):
        frame = read(tmp_path / "study", ["weave"], ["clflow"])
        assert frame.empty
        assert tuple(frame.columns) == columns


def test_gaps_are_means_over_seeds(tmp_path: Path) -> None:
    write_report(tmp_path, "clflow", "weave", [0.9, 0.5], [0.4, 0.7])
    write_report(tmp_path, "clflow", "bolt", [None, None])
    write_report(tmp_path, "gone", "weave", [0.9])
    frame = read_gaps(tmp_path, ["weave", "washer", "bolt"], ["fastflow", "clflow"])
    expected = pd.DataFrame(
        [
            ("weave", "clflow", 2, "auroc", 0.6, 0.8, 0.2),
            ("bolt", "clflow", 1, "auroc", np.nan, np.nan, np.nan),
        ],
        columns=list(GAP_COLUMNS),
    )
    pd.testing.assert_frame_equal(frame, expected)


def test_points_are_one_row_each(tmp_path: Path) -> None:
    write_report(tmp_path, "clflow", "weave", [0.9, None], [0.4])
    frame = read_points(tmp_path, ["weave"], ["clflow"])
    expected = pd.DataFrame(
        [
            ("weave", "clflow", 0, 1, "auroc", 0.9),
            ("weave", "clflow", 0, 2, "auroc", np.nan),
            ("weave", "clflow", 1, 1, "auroc", 0.4),
        ],
        columns=list(POINT_COLUMNS),
    )
    pd.testing.assert_frame_equal(frame, expected)


def test_a_malformed_file_is_named_with_the_stage_to_run(tmp_path: Path) -> None:
    path = write_report(tmp_path, "clflow", "weave", [0.9])
    path.write_text(path.read_text().replace('"step": 1', '"step": 0'))
    with pytest.raises(
        DataError, match=r"weave\.json is malformed: seeds\.0.*dvc repro --force selection_bias"
    ):
        read_gaps(tmp_path, ["weave"], ["clflow"])


def problem(section: dict[str, Any]) -> str:
    params = read_params(ROOT / "params.yaml")
    params["selection_bias"] |= section
    with pytest.raises(SettingsError) as caught:
        check_params(params)
    _, *lines = str(caught.value).split("\n  ")
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(
    ("section", "start", "end"),
    [
        ({"methods": ["clflwo"]}, "unknown method 'clflwo': did you mean 'clflow'?", ""),
        (
            {"methods": ["anomalib.padim"]},
            "'anomalib.padim' has no training steps to observe: allowed are ",
            "clflow, clflow_paper, fastflow",
        ),
        ({"methods": ["clflow_paper"]}, "'clflow_paper' is not in study.methods", "drop it"),
        ({"methods": ["clflow", "clflow"]}, "'clflow' is given more than once", ""),
    ],
)
def test_a_method_that_cannot_be_observed_is_told(
    section: dict[str, Any], start: str, end: str
) -> None:
    told = problem(section)
    assert told.startswith(f"selection_bias.methods: {start}")
    assert told.endswith(end) or not end


def test_no_point_at_all_is_refused() -> None:
    assert problem({"points": 0}).startswith("selection_bias.points: ")


def test_it_is_off_by_default() -> None:
    assert SelectionBiasSettings().methods == ()
    assert read_params(ROOT / "params.yaml")["selection_bias"]["methods"] == []


def test_no_model_and_no_score_depends_on_it() -> None:
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    (out,) = stages["selection_bias"]["outs"]
    assert out.startswith("results/selection_bias/")
    for name, stage in stages.items():
        read = (stage.get("do") or stage)["deps"]
        assert name == "selection_bias" or not [dep for dep in read if "selection_bias" in dep]
