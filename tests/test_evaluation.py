"""The evaluate stage: which images, masks and scores its numbers and pictures come from."""

import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from bright_detector import BRIGHT, BrightDetector
from builders import mvtec_category, save
from numpy.typing import ArrayLike

from clflow.data.images import read_image, read_mask
from clflow.data.manifest import build_manifest
from clflow.data.records import Manifest, Record
from clflow.data.settings import PrepareSettings
from clflow.data.source import ArrayImages, FileImages
from clflow.detectors.protocol import Scores, TrainingData
from clflow.detectors.runs import Run, train_seeds
from clflow.evaluation.evaluate import Subject, evaluate
from clflow.evaluation.measure import CategoryScores, Metrics, measure, protocol, record_mask
from clflow.evaluation.overlays import write_overlays
from clflow.evaluation.settings import EvaluateSettings
from clflow.synthesis.rows import MANIFEST, BankRow, Origin, to_line
from clflow.tables.metrics import METRICS
from clflow.tables.runs import read_runs

SIDE = 8
INPUT = EvaluateSettings()
NATIVE = EvaluateSettings(masks="native")
IMAGE = ("image_auroc", "image_ap", "image_f1_max")
PIXEL = ("pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro_30", "aupro_05")
DECISIONS = ("image_precision", "image_recall", "image_f1")


def square(left: int = 2) -> np.ndarray:
    """Return a mask [SIDE, SIDE] with a square of 2 x 2 pixels."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[3:5, left : left + 2] = 255
    return mask


def record(
    root: Path,
    name: str,
    label: int,
    mask: np.ndarray | None = None,
    size: tuple[int, int] = (SIDE, SIDE),
) -> Record:
    """Write an image, grey but for white marks, and its mask, if any; return its record.

    `size` (height, width) is for an image without a mask.
    """
    height, width = size if mask is None else mask.shape
    pixels = np.full((height, width, 3), 90, np.uint8)
    if mask is not None:
        pixels[mask > 0] = 255
        save(root / "masks" / f"{name}.png", mask)
    save(root / f"{name}.png", pixels)
    defect, place = ("crack" if label else "good"), None if mask is None else f"masks/{name}.png"
    return Record(f"{name}.png", "", width, height, label, defect, place, "test")


def scored(
    maps: Sequence[ArrayLike],
    validation: ArrayLike = (0.0, 0.1, 0.2),
    synthetic: ArrayLike = (0.9, 1.0),
) -> CategoryScores:
    """Return scores of which an image's is its map's maximum."""
    stack = np.array(maps, np.float32)
    return CategoryScores(
        Scores(stack.max(axis=(1, 2)), stack),
        np.array(validation, np.float32),
        np.array(synthetic, np.float32),
    )


def undefined(metrics: Metrics) -> set[str]:
    return {name for name, value in metrics.items() if value is None}


@pytest.fixture
def records(tmp_path: Path) -> tuple[Record, ...]:
    """Two good images, two with a marked square, one of them on the left."""
    return (
        record(tmp_path, "a", 0),
        record(tmp_path, "b", 0),
        record(tmp_path, "c", 1, square()),
        record(tmp_path, "d", 1, square(left=5)),
    )


PERFECT = (np.zeros((SIDE, SIDE)), np.zeros((SIDE, SIDE)), square() / 255, square(left=5) / 255)


@pytest.mark.parametrize("settings", [INPUT, NATIVE], ids=["input", "native"])
def test_perfect_maps_reach_one(
    records: tuple[Record, ...], tmp_path: Path, settings: EvaluateSettings
) -> None:
    metrics = measure(records, scored(PERFECT), tmp_path, settings)
    assert metrics.keys() == METRICS.keys()
    ones = (*IMAGE, *PIXEL, *DECISIONS, "synthetic_image_auroc")
    assert [metrics[name] for name in ones] == pytest.approx([1.0] * len(ones))
    assert metrics["image_fpr"] == 0
    assert metrics["threshold"] == pytest.approx(0.2)


def test_maps_belong_to_their_own_masks(records: tuple[Record, ...], tmp_path: Path) -> None:
    swapped = [PERFECT[index] for index in (0, 1, 3, 2)]
    metrics = measure(records, scored(swapped), tmp_path, INPUT)
    assert metrics["image_auroc"] == 1
    # 8 defect pixels at 0 tie with 240 good ones and lose to 8
    assert metrics["pixel_auroc"] == pytest.approx(0.5 * 240 / 248)


def test_without_masks_only_the_pixel_metrics_are_undefined(
    records: tuple[Record, ...], tmp_path: Path
) -> None:
    bare = tuple(replace(record, mask=None) for record in records)
    metrics = measure(bare, scored(PERFECT), tmp_path, INPUT)
    assert undefined(metrics) == set(PIXEL)
    with_masks = measure(records, scored(PERFECT), tmp_path, INPUT)
    assert {name: metrics[name] for name in IMAGE} == {name: with_masks[name] for name in IMAGE}


@pytest.mark.parametrize("kind", ["empty", "none"])
def test_unmarked_anomaly_counts_as_an_image_but_not_by_pixels(
    records: tuple[Record, ...], tmp_path: Path, kind: str
) -> None:
    mask = np.zeros((SIDE, SIDE), np.uint8) if kind == "empty" else None
    unmarked = record(tmp_path, "e", 1, mask)
    assert record_mask(unmarked, tmp_path) is None
    loud, quiet = np.ones((SIDE, SIDE)), np.zeros((SIDE, SIDE))
    before = measure(records, scored(PERFECT), tmp_path, INPUT)
    for extra, found in ((loud, 1.0), (quiet, 2 / 3)):
        after = measure((*records, unmarked), scored([*PERFECT, extra]), tmp_path, INPUT)
        assert {name: after[name] for name in PIXEL} == {name: before[name] for name in PIXEL}
        assert after["image_recall"] == pytest.approx(found)


def test_defect_that_vanishes_at_the_input_size_makes_no_good_pixels(tmp_path: Path) -> None:
    lost, kept = np.zeros((16, 16), np.uint8), np.zeros((16, 16), np.uint8)
    lost[4, 4] = kept[4:8, 4:8] = 255
    pair = (record(tmp_path, "a", 1, kept), record(tmp_path, "b", 1, lost))
    first = np.zeros((SIDE, SIDE))
    first[2:4, 2:4] = 1
    metrics = measure(pair, scored([first, np.full((SIDE, SIDE), 5)]), tmp_path, INPUT)
    assert metrics["pixel_auroc"] == metrics["pixel_ap"] == 1


def test_map_and_mask_meet_at_the_size_of_the_settings(tmp_path: Path) -> None:
    """An image 8 wide and 4 high, marked in 3 rows and 4 columns, with a map of 2 x 2.

    At the input size the one marked cell is the one that lights up. At the native size the map
    falls off linearly, and each of the 4 marked pixels of the third row scores less than 2 of the
    20 good pixels.
    """
    mask = np.zeros((4, 8), np.uint8)
    mask[:3, :4] = 255
    one, maps = (record(tmp_path, "wide", 1, mask),), scored([[[1, 0], [0, 0]]])
    assert measure(one, maps, tmp_path, INPUT)["pixel_auroc"] == 1
    native = measure(one, maps, tmp_path, NATIVE)["pixel_auroc"]
    assert native == pytest.approx(1 - 4 * 2 / (12 * 20))


def test_native_images_may_differ_in_size(tmp_path: Path) -> None:
    mask = np.zeros((12, 20), np.uint8)
    mask[4:8, 5:10] = 255
    mixed = (record(tmp_path, "a", 0, size=(6, 30)), record(tmp_path, "b", 1, mask))
    small = cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA) / 255
    metrics = measure(mixed, scored([np.zeros((SIDE, SIDE)), small]), tmp_path, NATIVE)
    assert metrics["pixel_auroc"] == pytest.approx(1, abs=0.02)


def test_threshold_comes_from_held_out_good_images_alone(
    records: tuple[Record, ...], tmp_path: Path
) -> None:
    held_out = np.arange(20) / 10
    settings = EvaluateSettings(threshold_quantile=0.9)
    results = [
        measure(records, scored(maps, held_out, synthetic), tmp_path, settings)
        for maps, synthetic in ((PERFECT, [9.0]), (np.multiply(PERFECT, 50), [0.5, -3.0]))
    ]
    # 18 of 20 scores are at most 1.7
    assert [metrics["threshold"] for metrics in results] == pytest.approx([1.7, 1.7])
    assert [metrics["image_recall"] for metrics in results] == [0, 1]


def test_synthetic_auroc_compares_with_the_images_the_anomalies_were_made_from(
    records: tuple[Record, ...], tmp_path: Path
) -> None:
    scores = scored(PERFECT, validation=[0.1, 0.3], synthetic=[0.2, 0.4])
    assert measure(records, scores, tmp_path, INPUT)["synthetic_image_auroc"] == 0.75
    none = measure(records, scored(PERFECT, synthetic=[]), tmp_path, INPUT)
    assert undefined(none) == {"synthetic_image_auroc"}


@pytest.mark.parametrize(
    ("kept", "lost"),
    [
        pytest.param(slice(2, 4), {*IMAGE, "image_fpr"}, id="no-good"),
        pytest.param(
            slice(0, 2),
            {*IMAGE, *PIXEL, "image_precision", "image_recall", "image_f1"},
            id="no-bad",
        ),
    ],
)
def test_one_class_leaves_metrics_undefined(
    records: tuple[Record, ...], tmp_path: Path, kept: slice, lost: set[str]
) -> None:
    metrics = measure(records[kept], scored(PERFECT[kept]), tmp_path, INPUT)
    assert undefined(metrics) == lost


def test_protocol_names_what_the_numbers_depend_on() -> None:
    settings = EvaluateSettings(threshold_quantile=0.975)
    assert "256x320" in protocol(settings, (256, 320))["masks"]
    assert protocol(settings, (256, 320))["threshold"].startswith("0.975 quantile")
    assert "native" in protocol(NATIVE, (256, 320))["masks"]


def pictures(
    records: tuple[Record, ...], maps: ArrayLike, root: Path, settings: EvaluateSettings
) -> dict[str, np.ndarray]:
    """Return the pictures by file name, uint8 [H, W, 3]."""
    folder = root / "overlays"
    write_overlays(records, scored(maps).test, 0.5, root, folder, settings)
    return {path.name: read_image(path) for path in sorted(folder.iterdir())}


def test_pictures_show_the_worst_and_a_sample(records: tuple[Record, ...], tmp_path: Path) -> None:
    gains = np.array([0.6, 0.2, 0.3, 0.1])[:, None, None]
    maps = gains * np.ones((4, SIDE, SIDE))
    found = pictures(records, maps, tmp_path, EvaluateSettings(worst=1, sample=2))
    assert list(found) == [
        "high-good-0-good-a.png",
        "low-defect-0-crack-d.png",
        "sample-0-good-a.png",
        "sample-1-crack-d.png",
    ]


def test_more_pictures_than_images_show_each_once(
    records: tuple[Record, ...], tmp_path: Path
) -> None:
    found = pictures(records, PERFECT, tmp_path, EvaluateSettings(worst=9, sample=9))
    assert len(found) == 2 + 2 + 4
    assert not pictures(records, PERFECT, tmp_path / "x", EvaluateSettings(worst=0, sample=0))


def test_picture_is_image_then_outline_then_map(tmp_path: Path) -> None:
    """Shown at the map's size, whatever the image's: 40 x 40 pixels of an image of 20 x 60."""
    mask = np.zeros((20, 60), np.uint8)
    mask[5:15, 15:45] = 255
    pair = (record(tmp_path, "a", 0, size=(20, 60)), record(tmp_path, "b", 1, mask))
    maps = np.full((2, 40, 40), -2.5)
    maps[1, :, 30:] = 4
    found = pictures(pair, maps, tmp_path, EvaluateSettings(worst=1, sample=0))
    good, bad = found["high-good-0-good-a.png"], found["low-defect-0-crack-b.png"]
    assert good.shape == bad.shape
    assert good.shape[1] == 3 * 40
    good_panels, bad_panels = (np.split(picture[-40:], 3, axis=1) for picture in (good, bad))
    np.testing.assert_array_equal(good_panels[0], good_panels[1])
    red, *others = np.moveaxis(bad_panels[1][10, 12:28], -1, 0).astype(int)
    assert (red - np.maximum(*others) > 150).all(), "the mask's upper edge is drawn red"
    np.testing.assert_array_equal(bad_panels[0][18:22, 18:22], bad_panels[1][18:22, 18:22])
    heat = bad_panels[2].sum(axis=2)
    assert heat[:, 30:].min() > 600, "the highest score is the brightest colour"
    assert heat[:, :30].max() < 20, "the lowest score is the darkest colour"
    assert (good_panels[2] == bad_panels[2][0, 0]).all(), "all maps share one colour scale"


def test_constant_maps_are_drawn(records: tuple[Record, ...], tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = pictures(records, np.full((4, SIDE, SIDE), -3.5), tmp_path, INPUT)
    heat = {tuple(picture[-1, -1]) for picture in found.values()}
    assert len(heat) == 1


@pytest.fixture
def subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Subject:
    """A data set whose defects are its brightest pixels, and trained models of two seeds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(BrightDetector, "fits", [])
    root = Path("images")
    mvtec_category(root, defects={"crack": 3, "stain": 2})
    manifest = build_manifest(root, "widget", "mvtec_ad", PrepareSettings()).manifest
    run = Run("small", "mine", "widget", BRIGHT, {}, manifest.digest, "bank")
    data = TrainingData(ArrayImages([np.zeros((4, 4, 3), np.uint8)]))
    train_seeds(run, data, (0, 3), Path("models/small/bright/widget"))
    bank = write_validation_bank(Path("bank"), manifest, root, anomalies=2)
    return Subject("small", "mine", BRIGHT, manifest, root, bank, "digest of the bank")


def write_validation_bank(bank: Path, manifest: Manifest, root: Path, anomalies: int) -> Path:
    """Write a bank of which only the validation split is there: good images, made negative."""
    folder, lines = bank / "validation", []
    for index, held_out in enumerate(manifest.validation[:anomalies]):
        origin = Origin(held_out.path, held_out.sha256, index)
        name = Path(f"{index:05d}.png")
        save(folder / name, 255 - read_image(root / held_out.path))
        rest = ((), "nsa", {}, "binary", 16, 0, 0, origin, origin, ())
        lines.append(to_line(BankRow(index, name, name, *rest)) + "\n")
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
    ones = (*IMAGE, *PIXEL, "synthetic_image_auroc")
    assert [run.seeds[0][name] for name in ones] == pytest.approx([1.0] * len(ones))


def test_results_name_the_images_without_a_mask(subject: Subject) -> None:
    first, *others = (r for r in subject.manifest.test if r.label)
    assert first.mask is not None
    save(subject.root / first.mask, np.zeros((16, 16), np.uint8))
    evaluate(subject, (0,), INPUT)
    counts = json.loads(Path("results/runs/small/bright/widget.json").read_text())["counts"]
    assert (counts["test_anomalous"], counts["test_without_mask"]) == (1 + len(others), 1)


def test_score_files_hold_the_raw_scores(subject: Subject) -> None:
    evaluate(subject, (0, 3), INPUT)
    names = sorted(path.name for path in Path("scores/small/bright/widget").iterdir())
    assert names == ["seed-0.parquet", "seed-3.parquet"]
    table = pd.read_parquet("scores/small/bright/widget/seed-0.parquet")
    assert list(table) == ["path", "split", "label", "defect", "score"]
    assert table.score.dtype == np.float32
    assert table.label.dtype == np.int64
    manifest, detector = subject.manifest, BrightDetector(BRIGHT.settings_model())
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


def test_pictures_are_of_the_first_seed(subject: Subject) -> None:
    evaluate(subject, (0, 3), EvaluateSettings(worst=1, sample=1))
    assert len(list(Path("overlays/small/bright/widget").iterdir())) == 3


def test_bank_without_held_out_anomalies_is_no_error(subject: Subject) -> None:
    empty = write_validation_bank(Path("empty"), subject.manifest, subject.root, anomalies=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(replace(subject, bank=empty), (0,), INPUT)
    (run,) = read_runs(Path("results/runs/small"), ["widget"], ["bright"], [0])
    assert undefined(run.seeds[0]) == {"synthetic_image_auroc"}
    table = pd.read_parquet("scores/small/bright/widget/seed-0.parquet")
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


def test_masks_are_read_as_they_are_on_disk(subject: Subject) -> None:
    marked = next(r for r in subject.manifest.test if r.mask)
    assert marked.mask is not None
    expected = read_mask(subject.root / marked.mask, (16, 16))
    mask = record_mask(marked, subject.root)
    assert mask is not None
    np.testing.assert_array_equal(mask, expected)
