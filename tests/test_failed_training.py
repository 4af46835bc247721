"""A training that diverges is a result: recorded, evaluated as nothing, flagged in the tables."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bright_detector import BRIGHT, BrightDetector
from builders import mvtec_category

from clflow.data.images import ArrayImages
from clflow.data.manifest import build_manifest
from clflow.data.preparation import PrepareSettings
from clflow.detectors.registry import Method
from clflow.errors import DataError, StorageError, TrainingError
from clflow.files import sha256_of
from clflow.metrics.registry import METRICS
from clflow.pipeline.evaluate import Subject, evaluate
from clflow.pipeline.settings import EvaluateSettings
from clflow.pipeline.train import Material, Run, failure_of, run_notes, train_seeds
from clflow.report.curves import left_out, read_method
from clflow.report.figures import CategoryFigures, write_figures
from clflow.report.settings import TabulateSettings
from clflow.report.tables import Sources, write_tables
from clflow.study.paths import RUNS, StudyPaths
from clflow.study.settings import StudySettings
from clflow.synthesis.rows import MANIFEST
from clflow.synthesis.training_data import TrainingData

SEEDS = (0, 1, 3)
PATHS = StudyPaths("small")
REASON = "training diverged at step 12: loss nan; lower\n  training.learning_rate"
SAID = "training diverged at step 12: loss nan; lower training.learning_rate"
ROOT = Path("images")
PLAIN = replace(BRIGHT, name="plain", notes="nothing")


@dataclass(frozen=True)
class Study:
    """One category, and methods that train and are evaluated in the working directory."""

    subject: Subject

    def train(self, method: Method = BRIGHT) -> dict[int, float]:
        subject = self.subject
        digests = (subject.manifest.digest, subject.bank_digest)
        run = Run("small", "mine", "widget", method, {"size": 16}, *digests)
        data = TrainingData(ArrayImages([np.zeros((4, 4, 3), np.uint8)]))
        return train_seeds(run, Material(data), SEEDS, models(method))

    def evaluate(self, method: Method = BRIGHT) -> dict[str, Any]:
        evaluate(replace(self.subject, method=method), SEEDS, EvaluateSettings(worst=1, sample=1))
        return json.loads(StudyPaths("small").result(method.name, "widget").read_text())

    def tables(self) -> tuple[str, pd.DataFrame]:
        """Return the summary, spaces squeezed, and the tidy table."""
        study = StudySettings(
            name="small",
            dataset="mine",
            layout="mvtec_ad",
            source="folder",
            index="index",
            categories={"widget": str(ROOT / "widget")},
            methods=("plain", "bright"),
            seeds=SEEDS,
        )
        sources = Sources(Path("results/runs/small"), Path("scores/small"))
        settings = TabulateSettings(metrics=("image_auroc", "pixel_auroc"), resamples=100)
        write_tables(study, sources, settings, Path("tables"))
        summary = Path("tables/summary.md").read_text()
        return re.sub(r" +", " ", summary), pd.read_csv("tables/results.csv")


def models(method: Method = BRIGHT) -> Path:
    return StudyPaths("small").models(method.name, "widget")


def files_below(folder: Path) -> dict[str, str]:
    """Return the digests of all files by their path below a folder."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in paths}


def fail(*seeds: int, error: Exception | None = None) -> None:
    """Let the trainings of these seeds fail from now on, and only these."""
    BrightDetector.failing.clear()
    BrightDetector.failing.update(dict.fromkeys(seeds, error or TrainingError(REASON)))


def fitted() -> list[int]:
    """Return the seeds fitted since the last call."""
    seeds = [seed for seed, _ in BrightDetector.fits]
    BrightDetector.fits.clear()
    return seeds


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(BrightDetector, "fits", [])
    monkeypatch.setattr(BrightDetector, "interrupted", set())
    monkeypatch.setattr(BrightDetector, "failing", {})
    mvtec_category(ROOT, "widget", defects={"crack": 3, "stain": 2})
    manifest = build_manifest(ROOT, "widget", "mvtec_ad", PrepareSettings()).manifest
    Path("bank/validation").mkdir(parents=True)
    Path("bank/validation", MANIFEST).touch()
    return Study(Subject("small", "mine", BRIGHT, manifest, ROOT, Path("bank"), "bank"))


def test_a_diverged_training_is_recorded_and_the_other_seeds_go_on(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    study.train(PLAIN)
    fail(1)
    assert list(study.train(replace(BRIGHT, notes="nothing"))) == list(SEEDS)
    whole, broken = files_below(models(PLAIN)), files_below(models())
    assert {name for name in broken if name.startswith("seed-1/")} == {"seed-1/failed.json"}
    for name in ("seed-0/model.json", "seed-0/history.csv", "seed-3/history.csv"):
        assert broken[name] == whole[name]
    described = json.loads((models() / "seed-0/run.json").read_text())
    recorded = json.loads((models() / "seed-1/failed.json").read_text())
    assert recorded == described | {"seed": 1, "failure": SAID}
    assert [failure_of(models() / f"seed-{seed}") for seed in SEEDS] == [None, SAID, None]
    assert [run_notes(models() / f"seed-{seed}") for seed in SEEDS] == ["nothing"] * 3
    lines = [line for line in capsys.readouterr().out.splitlines() if "diverged" in line]
    assert lines == [f"bright widget seed 1 failed, which the tables will show: {SAID}"]
    assert not RUNS.exists() or not files_below(RUNS)


def test_an_interrupted_stage_does_not_train_a_failed_seed_again(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    fail(1)
    BrightDetector.interrupted.add(3)
    with pytest.raises(KeyboardInterrupt):
        study.train()
    assert fitted() == [0, 1, 3]
    assert not models().exists()
    BrightDetector.interrupted.clear()
    seconds = study.train()
    assert fitted() == [3]
    assert seconds[0] == seconds[1] == 0
    assert failure_of(models() / "seed-1") == SAID
    assert f"bright widget seed 1: already failed: {SAID}" in capsys.readouterr().out


def test_a_training_that_works_again_replaces_the_failure(study: Study) -> None:
    fail(1)
    study.train()
    fail()
    study.train()
    assert fitted() == [*SEEDS, *SEEDS]
    assert failure_of(models() / "seed-1") is None
    assert "seed-1/failed.json" not in files_below(models())


@pytest.mark.parametrize(
    "error",
    [DataError("an image is gone"), StorageError("full"), RuntimeError("CUDA out of memory")],
    ids=lambda error: type(error).__name__,
)
def test_any_other_error_puts_nothing_in_place(study: Study, error: Exception) -> None:
    fail(1, error=error)
    with pytest.raises(type(error), match=str(error)):
        study.train()
    assert not models().exists()
    fail()
    study.train()
    before = files_below(models())
    fail(3, error=error)
    with pytest.raises(type(error)):
        study.train()
    assert files_below(models()) == before


def test_a_failed_seed_has_no_value_and_changes_no_other(study: Study) -> None:
    study.train()
    whole = study.evaluate()
    scores, pictures = (folder("bright", "widget") for folder in (PATHS.scores, PATHS.overlays))
    before, shown = files_below(scores), files_below(pictures)
    fail(0)
    study.train()
    result = study.evaluate()
    assert result["failures"] == {"0": SAID}
    assert result["seeds"]["0"] == dict.fromkeys(METRICS)
    assert "failures" not in whole
    for changed in (whole, result):
        del changed["seeds"]["0"]
    assert {**result, "failures": {}} == {**whole, "failures": {}}
    gone = {"seed-0.parquet", "curves-seed-0.parquet"}
    assert files_below(scores) == {k: v for k, v in before.items() if k not in gone}
    assert files_below(pictures) == shown


def test_tables_flag_a_failed_seed_with_its_reason(study: Study) -> None:
    study.train(PLAIN)
    study.evaluate(PLAIN)
    study.train()
    study.evaluate()
    _, whole = study.tables()
    fail(1)
    study.train()
    study.evaluate()
    text, table = study.tables()
    assert f"- † bright on widget, seed 1: {SAID}." in text
    assert "| widget | 1.000 ± 0.000 | – † |" in text
    assert (
        "- † bright on widget, seeds 0, 3 alone: Image AUROC 1.000 ± 0.000, "
        "Pixel AUROC 1.000 ± 0.000. Its cells stay empty"
    ) in text
    failed = (table["method"] == "bright") & (table["seed"] == 1)
    assert table.loc[failed, "value"].isna().all()
    pd.testing.assert_frame_equal(table[~failed], whole[~failed])


def test_a_method_that_never_trained_is_shown(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    study.train(PLAIN)
    study.evaluate(PLAIN)
    fail(*SEEDS)
    study.train()
    assert "every seed failed, there is no model" in capsys.readouterr().out
    result = study.evaluate()
    assert result["protocol"] == {}
    assert set(result["failures"]) == set(result["seeds"]) == {"0", "1", "3"}
    for folder in (PATHS.scores, PATHS.overlays):
        (told,) = folder("bright", "widget").iterdir()
        assert told.read_text() == "".join(f"seed {seed}: {SAID}\n" for seed in SEEDS)
    text, _ = study.tables()
    assert f"- † bright on widget, seeds 0, 1, 3: {SAID}." in text
    assert "bright on widget, seeds 0, 3 alone" not in text
    assert "- Scores: raw, neither normalised nor clamped." in text
    assert "not stated" not in text


def test_a_study_of_failures_alone_has_tables(study: Study) -> None:
    fail(*SEEDS)
    for method in (PLAIN, BRIGHT):
        study.train(method)
        study.evaluate(method)
    text, table = study.tables()
    assert table["value"].isna().all()
    assert "| widget | – † | – † |" in text


def test_figures_leave_a_failed_seed_out_and_say_so(study: Study, tmp_path: Path) -> None:
    study.train(PLAIN)
    study.evaluate(PLAIN)
    for failing in ((1,), SEEDS):
        fail(*failing)
        study.train()
        study.evaluate()
        methods = tuple(
            read_method(StudyPaths("small").scores(name, "widget"), name, place, SEEDS)
            for place, name in enumerate(("plain", "bright"))
        )
        seeds = "seed 1" if failing == (1,) else "seeds 0, 1, 3"
        assert left_out(methods, SEEDS) == [
            f"no scores of bright, {seeds}: left out of the figures"
        ]
        write_figures(CategoryFigures("widget", SEEDS, methods, 0.95), tmp_path / "out", ("svg",))
        drawn = re.sub("<[^>]+>", "", (tmp_path / "out/roc.svg").read_text())
        assert ("2 of 3 seeds" if failing == (1,) else "bright: no scores") in drawn
