"""The evaluate stage: the scores, metrics and pictures it leaves for every seed."""

import json
import math
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import pytest
from bright_detector import BRIGHT, NO_WORKSPACE, BrightDetector, BrightSettings
from builders import SIZE, mvtec_category, save

from clflow.data.images import ArrayImages, FileImages, ImageSource, read_image
from clflow.data.manifest import build_manifest
from clflow.data.preparation import PrepareSettings
from clflow.data.records import Manifest, record_mask
from clflow.detectors.protocol import Scores, Workspace
from clflow.errors import StorageError
from clflow.metrics.registry import METRICS
from clflow.pipeline.evaluate import Subject, evaluate
from clflow.pipeline.measure import CURVE_POINTS
from clflow.pipeline.plots import PLOTS
from clflow.pipeline.settings import EvaluateSettings
from clflow.pipeline.train import Material, Run, train_seeds
from clflow.report.evidence import flags_of
from clflow.report.results import read_scores
from clflow.study.paths import StudyPaths
from clflow.study.runs import read_runs
from clflow.synthesis.rows import MANIFEST, BankRow, Origin, to_line
from clflow.synthesis.training_data import TrainingData

INPUT = EvaluateSettings()


@pytest.fixture
def subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Subject:
    """A data set whose defects are its brightest pixels, and trained models of two seeds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(BrightDetector, "fits", [])
    return trained_subject(SIZE)


def trained_subject(size: tuple[int, int]) -> Subject:
    """Write images of this size into the working directory, and models of seeds 0 and 3."""
    root = Path("images")
    mvtec_category(root, defects={"crack": 3, "stain": 2}, size=size)
    manifest = build_manifest(root, "widget", "mvtec_ad", PrepareSettings()).manifest
    run = Run("small", "mine", "widget", BRIGHT, {}, manifest.digest, "bank")
    data = TrainingData(ArrayImages([np.zeros((4, 4, 3), np.uint8)]))
    train_seeds(run, Material(data), (0, 3), Path("models/small/bright/widget"))
    bank = write_validation_bank(Path("bank"), manifest, root, anomalies=2)
    return Subject("small", "mine", BRIGHT, manifest, root, bank, "digest of the bank")


def write_validation_bank(bank: Path, manifest: Manifest, root: Path, anomalies: int) -> Path:
    """Write a bank of which only the validation split is there: good images, made negative."""
    folder, lines = bank / "validation", []
    for index, held_out in enumerate(manifest.validation[:anomalies]):
        origin = Origin(held_out.path, held_out.sha256, index)
        name = Path(f"{index:05d}.png")
        save(folder / name, 255 - read_image(root / held_out.path))
        row = BankRow(
            index, name, name, (), "nsa", {}, "binary", 16, 16, 0, 0, origin, origin, patches=()
        )
        lines.append(to_line(row) + "\n")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).write_text("".join(lines))
    return bank


def test_results_are_those_the_tables_read(subject: Subject) -> None:
    evaluate(subject, (0, 3), INPUT)
    (run,) = read_runs(Path("results/runs/small"), ["widget"], ["bright"], [0, 3])
    assert run.dataset == "mine"
    assert run.counts == {
        "train_good": 12,
        "validation_good": 8,
        "test_good": 3,
        "test_anomalous": 5,
        "test_without_mask": 0,
    }
    assert run.digests == {"manifest": subject.manifest.digest, "bank": "digest of the bank"}
    assert "16x16" in run.protocol["masks"]
    assert run.seeds[0] == run.seeds[3]
    perfect = ("image_auroc", "pixel_auroc", "aupro_30", "synthetic_image_auroc")
    assert [run.seeds[0][name] for name in perfect] == pytest.approx([1.0] * 4)


def test_results_name_the_images_without_a_mask(subject: Subject) -> None:
    first, *others = (r for r in subject.manifest.test if r.label)
    assert first.mask is not None
    save(subject.root / first.mask, np.zeros((16, 16), np.uint8))
    evaluate(subject, (0,), INPUT)
    counts = json.loads(Path("results/runs/small/bright/widget.json").read_text())["counts"]
    assert (counts["test_anomalous"], counts["test_without_mask"]) == (1 + len(others), 1)


def test_score_files_hold_the_raw_scores(subject: Subject) -> None:
    evaluate(subject, (0, 3), INPUT)
    names = sorted(path.name for path in Path("scores/small/widget/bright").iterdir())
    curves = ["curves-seed-0.parquet", "curves-seed-3.parquet"]
    assert names == [*curves, "seed-0.parquet", "seed-3.parquet"]
    table = pd.read_parquet("scores/small/widget/bright/seed-0.parquet")
    moves = [f"{name}_influence" for name in ("pixel_auroc", "aupro_30", "aupro_05")]
    assert list(table) == ["path", "split", "label", "defect", "score", "peak", "aupimo", *moves]
    assert table.score.dtype == np.float32
    assert table.label.dtype == np.int64
    manifest, detector = subject.manifest, BrightDetector(BrightSettings())
    for split, records in (("test", manifest.test), ("validation", manifest.validation)):
        part = table[table.split == split]
        raw = detector.score(FileImages(tuple(subject.root / r.path for r in records)))
        assert part.score.tolist() == raw.image_scores.tolist()
        assert part.path.tolist() == [r.path for r in records]
        assert part.label.tolist() == [r.label for r in records]
        assert part.defect.tolist() == [r.defect for r in records]
    synthetic = table[table.split == "synthetic"]
    assert synthetic.path.tolist() == ["00000.png", "00001.png"]
    assert set(zip(synthetic.label, synthetic.defect, strict=True)) == {(1, "synthetic")}


def test_score_files_hold_the_influence_of_each_image_whose_defects_are_known(
    subject: Subject,
) -> None:
    evaluate(subject, (0,), INPUT)
    table = pd.read_parquet("scores/small/widget/bright/seed-0.parquet")
    test = table[table.split == "test"]
    known = [not r.label or record_mask(r, subject.root) is not None for r in subject.manifest.test]
    for name in ("pixel_auroc", "aupro_30", "aupro_05"):
        moves = test[f"{name}_influence"]
        assert moves.notna().tolist() == known
        assert abs(moves.sum()) < 1e-12
        assert table.loc[table.split != "test", f"{name}_influence"].isna().all()


def test_score_files_hold_the_aupimo_of_each_anomalous_image(
    subject: Subject, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three good images of 200 x 200 pixels resolve the bounds, three of 16 x 16 do not."""
    evaluate(subject, (0,), INPUT)
    assert "AUPIMO is left empty: one pixel of 3 good images" in capsys.readouterr().out
    assert pd.read_parquet("scores/small/widget/bright/seed-0.parquet").aupimo.isna().all()
    shutil.rmtree("images")
    shutil.rmtree("models")
    large = replace(trained_subject((200, 200)), bank=subject.bank)
    evaluate(large, (0,), EvaluateSettings(masks="native"))
    (run,) = read_runs(Path("results/runs/small"), ["widget"], ["bright"], [0])
    table = pd.read_parquet("scores/small/widget/bright/seed-0.parquet")
    values = table.aupimo[(table.split == "test") & (table.label == 1)]
    assert table.aupimo.count() == len(values) == 5
    assert values.between(0.5, 1).all()
    assert run.seeds[0]["aupimo"] == pytest.approx(values.mean())
    assert "left empty" not in capsys.readouterr().out


def test_plots_hold_the_scores_of_every_seed_and_the_curves_of_the_first(subject: Subject) -> None:
    evaluate(subject, (0, 3), INPUT)
    folder = StudyPaths("small").plots("bright", "widget")
    roc, pro, scores = (pd.read_csv(folder / name) for name in PLOTS)
    assert {path.name for path in folder.iterdir()} == PLOTS.keys()
    raw = pd.read_parquet("scores/small/widget/bright/seed-3.parquet")
    own = scores[scores["seed"] == 3]
    assert own["score"].to_numpy() == pytest.approx(raw["score"].to_numpy(), rel=1e-5)
    expected = raw["split"].map({"validation": "held-out good", "synthetic": "synthetic"})
    labels = raw["label"].map({0: "good", 1: "anomalous"})
    assert own["kind"].tolist() == expected.fillna(labels).tolist()
    for table, hit in ((roc, "tpr"), (pro, "pro")):
        assert list(table) == ["fpr", hit, "seed"]
        assert set(table["seed"]) == {0}
        assert len(table) <= CURVE_POINTS
        assert table.iloc[[0, -1]][["fpr", hit]].to_numpy().tolist() == [[0, 0], [1, 1]]
        assert (table[["fpr", hit]].diff().dropna() >= 0).all(axis=None)
    # all anomalous images score higher: the area is that of the result
    assert np.trapezoid(roc["tpr"], roc["fpr"]) == 1


def test_plots_without_a_value_have_columns_alone(breakable: Subject) -> None:
    for seed in (0, 3):
        BrokenDetector.broken[f"seed-{seed}"] = (("anomaly_maps",), math.nan)
    evaluated(breakable)
    folder = StudyPaths("small").plots("bright", "widget")
    headers = [(folder / name).read_text() for name in PLOTS]
    assert headers == ["fpr,tpr,seed\n", "fpr,pro,seed\n", "score,kind,seed\n"]


def test_curve_files_hold_the_curves_of_the_metrics(subject: Subject) -> None:
    evaluate(subject, (0,), INPUT)
    (run,) = read_runs(Path("results/runs/small"), ["widget"], ["bright"], [0])
    table = pd.read_parquet("scores/small/widget/bright/curves-seed-0.parquet")
    assert list(table) == ["fpr", "tpr", "pro"]
    assert (table.dtypes == np.float64).all()
    assert len(table) <= CURVE_POINTS
    assert table.iloc[0].tolist() == [0, 0, 0]
    assert table.iloc[-1].tolist() == [1, 1, 1]
    area = np.trapezoid(table.tpr, table.fpr)
    assert area == pytest.approx(run.seeds[0]["pixel_auroc"], abs=0.01)


def test_curves_that_are_not_defined_have_no_rows(subject: Subject) -> None:
    bare = tuple(replace(record, mask=None) for record in subject.manifest.records)
    evaluate(replace(subject, manifest=replace(subject.manifest, records=bare)), (0,), INPUT)
    table = pd.read_parquet("scores/small/widget/bright/curves-seed-0.parquet")
    assert table.empty
    assert list(table) == ["fpr", "tpr", "pro"]


def test_pictures_are_of_the_first_seed(subject: Subject) -> None:
    evaluate(subject, (0, 3), EvaluateSettings(worst=1, sample=1))
    assert len(list(Path("overlays/small/bright/widget").iterdir())) == 3


def test_bank_without_held_out_anomalies_is_no_error(subject: Subject) -> None:
    empty = write_validation_bank(Path("empty"), subject.manifest, subject.root, anomalies=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(replace(subject, bank=empty), (0,), INPUT)
    (run,) = read_runs(Path("results/runs/small"), ["widget"], ["bright"], [0])
    undefined = [name for name, value in run.seeds[0].items() if value is None]
    assert undefined == ["aupimo", "synthetic_image_auroc"]
    table = pd.read_parquet("scores/small/widget/bright/seed-0.parquet")
    assert set(table.split) == {"test", "validation"}
    assert (table.score.dtype, table.label.dtype) == (np.float32, np.int64)


@pytest.mark.parametrize("label", [0, 1])
def test_category_with_one_class_is_evaluated(subject: Subject, label: int) -> None:
    """Undefined metrics are said and written, pictures of what there is are drawn."""
    records = tuple(r for r in subject.manifest.records if r.split != "test" or r.label == label)
    one_class = replace(subject, manifest=replace(subject.manifest, records=records))
    evaluate(one_class, (0,), INPUT)
    (run,) = read_runs(Path("results/runs/small"), ["widget"], ["bright"], [0])
    assert run.seeds[0]["image_auroc"] is None
    assert math.isfinite(run.seeds[0]["threshold"] or math.nan)
    kinds = {path.name.split("-")[0] for path in Path("overlays/small/bright/widget").iterdir()}
    assert kinds == {"low" if label else "high", "sample"}


class BrokenDetector(BrightDetector):
    """Gives the first two images, whatever they are, a score or a pixel that is not finite."""

    broken: ClassVar[dict[str, tuple[tuple[str, ...], float]]] = {}
    seed = ""

    @classmethod
    def load(cls, folder: Path) -> Self:
        detector = super().load(folder)
        detector.seed = folder.name
        return detector

    def score(self, images: ImageSource, workspace: Workspace = NO_WORKSPACE) -> Scores:
        found = super().score(images, workspace)
        parts, value = self.broken.get(self.seed, ((), 0.0))
        for part in parts:
            values = getattr(found, part)
            values.reshape(len(values), -1)[:2, -1] = value
        return found


@pytest.fixture
def breakable(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> Subject:
    """The same models, which break as `BrokenDetector.broken` says."""
    monkeypatch.setattr(BrokenDetector, "broken", {})
    return replace(subject, method=replace(BRIGHT, detector=f"{__name__}:BrokenDetector"))


def evaluated(subject: Subject) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the result of seeds 0 and 3, and the content of the other files by their path."""
    evaluate(subject, (0, 3), INPUT)
    paths, place = StudyPaths("small"), ("bright", "widget")
    files = [*paths.scores(*place).iterdir(), *paths.overlays(*place).iterdir()]
    result = json.loads(paths.result(*place).read_text())
    return result, {str(file): file.read_bytes() for file in files}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        pytest.param(
            ("image_scores", "anomaly_maps"),
            "scores of 2 of 8 test images and anomaly maps of 2 of 8 test images and scores of "
            "2 of 8 held-out good images and anomaly maps of 2 of 8 held-out good images and "
            "scores of 2 of 2 held-out synthetic anomalies are not finite",
            id="all",
        ),
        pytest.param(
            ("anomaly_maps",),
            "anomaly maps of 2 of 8 test images and anomaly maps of 2 of 8 held-out good images "
            "are not finite",
            id="maps",
        ),
    ],
)
def test_a_seed_whose_scores_are_not_finite_has_failed_and_changes_no_other(
    breakable: Subject,
    parts: tuple[str, ...],
    reason: str,
    value: float,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole, files = evaluated(breakable)
    BrokenDetector.broken["seed-3"] = (parts, value)
    broken, remaining = evaluated(breakable)
    said = f"bright widget seed 3 failed, which the tables will show: {reason}"
    assert said in " ".join(capsys.readouterr().out.split())
    assert broken["seeds"] == {"0": whole["seeds"]["0"], "3": dict.fromkeys(METRICS)}
    assert broken == whole | {"seeds": broken["seeds"], "failures": {"3": reason}}
    gone = {f"scores/small/widget/bright/{name}seed-3.parquet" for name in ("", "curves-")}
    assert remaining == {name: files[name] for name in files.keys() - gone}
    runs = read_runs(Path("results/runs/small"), ["widget"], ["bright"], [0, 3])
    (flag,) = flags_of(runs, read_scores(Path("scores/small"), runs))
    assert flag.text == f"† bright on widget, seed 3: {reason}."


def test_pictures_are_of_the_first_seed_with_finite_scores(breakable: Subject) -> None:
    whole, files = evaluated(breakable)
    BrokenDetector.broken["seed-0"] = (("image_scores",), math.nan)
    broken, remaining = evaluated(breakable)
    assert broken["protocol"] == whole["protocol"]
    assert broken["failures"].keys() == {"0"}
    pictures = {name for name in files if name.startswith("overlays")}
    assert {name: files[name] for name in pictures}.items() <= remaining.items()


def test_a_method_without_any_finite_score_leaves_the_reasons(breakable: Subject) -> None:
    for seed, value in ((0, math.nan), (3, math.inf)):
        BrokenDetector.broken[f"seed-{seed}"] = (("anomaly_maps",), value)
    result, files = evaluated(breakable)
    reason = (
        "anomaly maps of 2 of 8 test images and anomaly maps of 2 of 8 held-out good images are "
        "not finite"
    )
    assert result["seeds"] == dict.fromkeys(("0", "3"), dict.fromkeys(METRICS))
    assert result["failures"] == {"0": reason, "3": reason}
    assert result["protocol"] == {}
    told = f"seed 0: {reason}\nseed 3: {reason}\n".encode()
    assert files == {
        f"{folder}/failed.txt": told
        for folder in ("scores/small/widget/bright", "overlays/small/bright/widget")
    }


def test_a_folder_that_cannot_be_removed_is_an_error(subject: Subject) -> None:
    folder = StudyPaths("small").scores("bright", "widget")
    folder.parent.mkdir(parents=True)
    folder.write_text("not a folder")
    with pytest.raises(StorageError, match="widget"):
        evaluate(subject, (0,), INPUT)
    assert folder.read_text() == "not a folder"
    assert not StudyPaths("small").result("bright", "widget").exists()


def test_peaks_are_kept_of_good_images_and_anomalous_ones(subject: Subject) -> None:
    evaluate(subject, (0,), INPUT)
    table = pd.read_parquet("scores/small/widget/bright/seed-0.parquet")
    known = table["peak"].notna()
    assert set(table["split"][~known]) == {"synthetic"}
    assert set(table["split"][known]) == {"test", "validation"}


def test_too_few_held_out_images_are_told_with_what_they_can_promise(
    subject: Subject, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(subject, (0,), INPUT)
    said = " ".join(capsys.readouterr().out.split())
    assert "8 held-out good images promise a false-alarm rate of 0.111, not the 0.05" in said
    assert "which takes 19" in said
    evaluate(subject, (0,), EvaluateSettings(false_alarm_rate=0.2))
    assert "promise" not in capsys.readouterr().out
