"""The cost stage: what its file and table hold, and what a killed process leaves."""

import os
from pathlib import Path
from typing import Any

import pytest
import tiny_study
from flow_cases import seeded

from clflow.data.records import read_manifest
from clflow.detectors.flow.detector import FlowDetector
from clflow.detectors.flow.settings import FlowSettings
from clflow.errors import DataError, SettingsError, TrainingError
from clflow.pipeline import cost as measure
from clflow.pipeline.cost import Job, measure_cost
from clflow.pipeline.inputs import training_data
from clflow.pipeline.params import check_params
from clflow.pipeline.settings import CostSettings, TimingSettings
from clflow.settings import read_params
from clflow.study.cost import COLUMNS, CostReport, read_costs
from clflow.study.paths import WORK, StudyPaths

PARAMS = Path(__file__).parents[1] / "params.yaml"


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A small study in the working directory."""
    monkeypatch.chdir(tmp_path)
    tiny_study.write_tiny_study()
    return Job(
        study=tiny_study.STUDY,
        dataset="mine",
        root=tiny_study.ROOT,
        category=tiny_study.CATEGORY,
        method=tiny_study.METHOD,
        settings=tiny_study.fastflow_settings(),
        timing=TimingSettings(batch_sizes=(1, 7), repeats=3, warmup=1),
    )


def test_file_holds_what_was_measured(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_in_fresh_process", lambda work, *rest: work(*rest))
    report = measure_cost(job)
    path = StudyPaths("small").cost("fastflow")
    assert CostReport.model_validate_json(path.read_bytes()) == report
    assert report.input_size == (64, 64)
    assert report.latency.keys() == {1, 7}
    assert report.training.good_images == 12
    assert min(report.gmacs.detector, report.gmacs.backbone) > 0
    assert report.settings == job.settings
    assert report.scoring_memory.peak_bytes >= report.scoring_memory.imports_bytes
    assert list(WORK.iterdir()) == []
    assert not Path(".clflow/features").exists()


def test_training_is_that_of_the_train_stage(job: Job, tmp_path: Path) -> None:
    measure.train(job, tmp_path / "cost")
    data = training_data(
        read_manifest(StudyPaths("small").manifest("widget")),
        tiny_study.ROOT,
        StudyPaths("small").bank("widget"),
    )
    settings = FlowSettings.model_validate(job.settings)
    detector = FlowDetector(settings, method="fastflow")
    detector.fit(data, seeded(0)).save(tmp_path / "own")
    for name in ("model.json", "model.safetensors"):
        one, other = (tmp_path / folder / name for folder in ("cost/model", "own"))
        assert one.read_bytes() == other.read_bytes()


def vanish(job: Job, folder: Path) -> None:
    os._exit(3)


def test_a_killed_process_is_told_and_leaves_nothing(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "train", vanish)
    with pytest.raises(TrainingError, match="measuring fastflow on widget was killed"):
        measure_cost(job)
    assert list(WORK.iterdir()) == []
    assert not StudyPaths("small").costs.exists()


def test_nothing_measured_gives_an_empty_table(tmp_path: Path) -> None:
    frame = read_costs(tmp_path / "study", ["clflow"])
    assert frame.empty
    assert tuple(frame.columns) == COLUMNS


def test_table_has_a_row_per_method_and_latencies_by_batch(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "_in_fresh_process", lambda work, *rest: work(*rest))
    report = measure_cost(job)
    frame = read_costs(StudyPaths("small").costs, ["clflow", "fastflow"])
    (row,) = frame.to_dict("records")
    assert tuple(frame.columns[: len(COLUMNS)]) == COLUMNS
    assert row["method"] == "fastflow"
    assert row["device"] == report.machine["device"]
    assert row["gmacs"] == report.gmacs.detector
    for batch in (1, 7):
        latency = report.latency[batch]
        assert row[f"median_ms_{batch}"] == latency.detector.median_ms
        assert row[f"p95_ms_{batch}"] == latency.detector.p95_ms
        assert row[f"ratio_{batch}"] == latency.ratio
    path = StudyPaths("small").cost("fastflow")
    path.write_text(path.read_text().replace('"ratio"', '"ration"'))
    with pytest.raises(DataError, match=r"fastflow\.json is malformed.*dvc repro --force cost"):
        read_costs(StudyPaths("small").costs, ["fastflow"])


def problem(section: dict[str, Any]) -> str:
    params = read_params(PARAMS)
    params["cost"] |= section
    with pytest.raises(SettingsError) as caught:
        check_params(params)
    _, *lines = str(caught.value).split("\n  ")
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(
    ("section", "start"),
    [
        ({"methods": ["fast_flow"]}, "cost.methods: unknown method 'fast_flow': did you mean"),
        ({"methods": ["clflow_paper"]}, "cost.methods: 'clflow_paper' is not in study.methods"),
        ({"methods": ["clflow", "clflow"]}, "cost.methods: 'clflow' is given more than once"),
        ({"batch_sizes": []}, "cost.batch_sizes: "),
        ({"batch_sizes": [16, 1]}, "cost.batch_sizes: batch sizes must ascend"),
        ({"batch_sizes": [0, 16]}, "cost.batch_sizes.0: "),
        ({"repeats": 0}, "cost.repeats: "),
        ({"threads": 0}, "cost.threads: "),
        (
            {"methods": ["clflow"], "category": "weav"},
            "cost.category: unknown category 'weav': did you mean 'weave'?",
        ),
        ({"methods": ["clflow"], "category": None}, "cost.category: "),
    ],
)
def test_a_wrong_setting_is_told(section: dict[str, Any], start: str) -> None:
    assert problem(section).startswith(start)


def test_it_is_off_by_default() -> None:
    assert CostSettings().methods == ()
    assert read_params(PARAMS)["cost"]["methods"] == []
