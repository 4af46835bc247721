"""One entry in the registry is a new metric: written, tabulated, undefined in older results."""

import json
from pathlib import Path

import numpy as np
import pytest
from marked_images import PERFECT, scored, two_good_two_bad
from run_files import write_full_study

from clflow.metrics.registry import METRICS, Metric, named
from clflow.metrics.scored import ScoredCategory
from clflow.pipeline.measure import LabelledImages, measure, no_metrics
from clflow.pipeline.settings import EvaluateSettings
from clflow.report.settings import TabulateSettings
from clflow.report.tables import write_tables
from clflow.study.paths import METRICS as METRICS_FILE

MARGIN = "image_margin"


def image_margin(scores: ScoredCategory) -> float:
    """Return how far the lowest anomalous score is above the highest good one."""
    anomalous = scores.labels.astype(bool)
    return float(scores.images[anomalous].min() - scores.images[~anomalous].max())


@pytest.fixture
def margin(monkeypatch: pytest.MonkeyPatch) -> str:
    """A metric of its own, as an entry of the registry."""
    metric = Metric(MARGIN, "Image margin", "image", image_margin, uses=("headline",))
    monkeypatch.setitem(METRICS, MARGIN, metric)
    return MARGIN


def test_names_are_those_of_the_entries() -> None:
    assert all(name == metric.name for name, metric in METRICS.items())
    assert no_metrics() == dict.fromkeys(METRICS)


def test_what_influence_is_measured_of_is_in_the_registry(tmp_path: Path) -> None:
    images = LabelledImages.read(two_good_two_bad(tmp_path), tmp_path)
    found = measure(images, scored(PERFECT), EvaluateSettings())
    assert found.influences.keys() == set(named("influence"))


def test_an_entry_is_measured(margin: str, tmp_path: Path) -> None:
    images = LabelledImages.read(two_good_two_bad(tmp_path), tmp_path)
    metrics = measure(images, scored(PERFECT), EvaluateSettings()).metrics
    assert metrics[margin] == 1
    broken = scored(np.array(PERFECT) * np.nan)
    assert measure(images, broken, EvaluateSettings()).metrics == dict.fromkeys(METRICS)
    assert margin in named("headline")


def test_a_result_of_before_has_a_dash(margin: str, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "runs" / "small"
    study, sources = write_full_study(folder, {"a": {"x": [0.75], "y": [0.8]}})
    path = folder / "x" / "a.json"
    run = json.loads(path.read_text())
    del run["seeds"]["0"][margin]
    path.write_text(json.dumps(run))
    settings = TabulateSettings(metrics=("image_auroc", margin))
    report = write_tables(study, sources, settings, tmp_path)
    assert report.evidence.flags == ()
    below = (tmp_path / "summary.md").read_text().partition("## Image margin")[2]
    row = next(line for line in below.split("\n") if line.startswith("| a "))
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["a", "–", "0.500"]
    assert json.loads((tmp_path / METRICS_FILE).read_text()) == {
        "x": {"image_auroc": 0.75},
        "y": {"image_auroc": 0.8},
    }
