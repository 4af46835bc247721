"""The metrics of a category: which images, masks and scores each of them comes from."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from marked_images import PERFECT, SIDE, record, scored, two_good_two_bad

from clflow.data.records import Record, record_mask
from clflow.detectors.protocol import Scores
from clflow.metrics.registry import METRICS
from clflow.pipeline.measure import CategoryScores, LabelledImages, Metrics, map_peaks, protocol
from clflow.pipeline.measure import measure as measured_category
from clflow.pipeline.settings import EvaluateSettings

INPUT = EvaluateSettings()
NATIVE = EvaluateSettings(masks="native")
IMAGE = ("image_auroc", "image_ap", "image_f1_max")
PIXEL = ("pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro_30", "aupro_05")
DECISIONS = ("image_precision", "image_recall", "image_f1")


def measure(
    records: tuple[Record, ...], scores: CategoryScores, root: Path, settings: EvaluateSettings
) -> Metrics:
    return measured_category(LabelledImages.read(records, root), scores, settings).metrics


def undefined(metrics: Metrics) -> set[str]:
    return {name for name, value in metrics.items() if value is None}


@pytest.fixture
def records(tmp_path: Path) -> tuple[Record, ...]:
    return two_good_two_bad(tmp_path)


@pytest.mark.parametrize("settings", [INPUT, NATIVE], ids=["input", "native"])
def test_perfect_maps_reach_one(
    records: tuple[Record, ...], tmp_path: Path, settings: EvaluateSettings
) -> None:
    metrics = measure(records, scored(PERFECT), tmp_path, settings)
    assert metrics.keys() == METRICS.keys()
    ones = (*IMAGE, *PIXEL, *DECISIONS, "synthetic_image_auroc")
    assert [metrics[name] for name in ones] == pytest.approx([1.0] * len(ones))
    assert metrics["image_fpr"] == 0
    # just above the highest held-out score
    assert metrics["threshold"] == pytest.approx(0.2, rel=2e-3)


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
    assert undefined(metrics) == {*PIXEL, "aupimo"}
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
    settings = EvaluateSettings(false_alarm_rate=0.15)
    results = [
        measure(records, scored(maps, held_out, synthetic), tmp_path, settings)
        for maps, synthetic in ((PERFECT, [9.0]), (np.multiply(PERFECT, 50), [0.5, -3.0]))
    ]
    # a new good image is among the highest 3 of 21 in 1 of 7 cases: 2 of the 20 may be above 1.7
    assert [metrics["threshold"] for metrics in results] == pytest.approx([1.7, 1.7], rel=2e-3)
    assert [metrics["image_recall"] for metrics in results] == [0, 1]
    assert [metrics["promised_fpr"] for metrics in results] == pytest.approx([1 / 7, 1 / 7])


def test_regions_are_decided_by_peaks_at_the_images_own_size(tmp_path: Path) -> None:
    """A lone pixel of a map is lower once it lies between those of a larger image."""
    lone = np.zeros((SIDE, SIDE))
    lone[4, 4] = 1
    good = (record(tmp_path, "a", 0), record(tmp_path, "b", 0, size=(SIDE // 2, SIDE // 2)))
    peaks = map_peaks(good, np.array([lone, lone], np.float32))
    assert peaks.tolist() == [1, 0.25]
    maps = Scores(np.zeros(2, np.float32), np.array([lone, lone], np.float32))
    for held_out, expected in ((0.9, 0.5), (0.2, 1.0), (1.0, 0.0)):
        low = np.array([0, 0.1, held_out], np.float32)
        scores = CategoryScores(maps, peaks, np.zeros(3), low, np.ones(1))
        for settings in (INPUT, NATIVE):
            metrics = measure(good, scores, tmp_path, settings)
            assert metrics["region_fpr"] == expected
            assert metrics["pixel_threshold"] == pytest.approx(held_out, rel=2e-3)
            assert metrics["promised_region_rate"] == 0.25


def test_synthetic_auroc_compares_with_the_images_the_anomalies_were_made_from(
    records: tuple[Record, ...], tmp_path: Path
) -> None:
    scores = scored(PERFECT, validation=[0.1, 0.3], synthetic=[0.2, 0.4])
    assert measure(records, scores, tmp_path, INPUT)["synthetic_image_auroc"] == 0.75
    none = measure(records, scored(PERFECT, synthetic=[]), tmp_path, INPUT)
    assert undefined(none) == {"synthetic_image_auroc", "aupimo"}


@pytest.mark.parametrize(
    ("kept", "lost"),
    [
        pytest.param(slice(2, 4), {*IMAGE, "image_fpr", "region_fpr"}, id="no-good"),
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
    assert undefined(metrics) == {*lost, "aupimo"}


def test_aupimo_is_kept_for_every_marked_image(tmp_path: Path) -> None:
    """Two good images of 256 x 256 pixels are enough to resolve the bounds."""
    mask, side = np.zeros((16, 16), np.uint8), 256
    mask[4:8, 4:8] = 255
    marked = np.kron(mask / 255, np.ones((side // 16, side // 16)))
    records = (
        record(tmp_path, "marked", 1, mask),
        record(tmp_path, "good", 0),
        record(tmp_path, "unmarked", 1, np.zeros((16, 16), np.uint8)),
        record(tmp_path, "half", 1, mask),
        record(tmp_path, "fine", 0),
    )
    flat, half = np.full((side, side), 0.5), marked * (np.arange(side) < 6 * side // 16)
    maps = [marked, flat, 9 * np.ones((side, side)), half, flat]
    result = measured_category(LabelledImages.read(records, tmp_path), scored(maps), INPUT)
    assert result.aupimo.undefined is None
    assert result.aupimo.per_image.tolist() == pytest.approx(
        [1, np.nan, np.nan, 0.5, np.nan], nan_ok=True
    )
    assert result.metrics["aupimo"] == pytest.approx(0.75)


def test_few_pixels_leave_aupimo_empty_and_say_why(
    records: tuple[Record, ...], tmp_path: Path
) -> None:
    result = measured_category(LabelledImages.read(records, tmp_path), scored(PERFECT), INPUT)
    assert result.metrics["aupimo"] is None
    assert np.isnan(result.aupimo.per_image).all()
    assert "one pixel of 2 good images is a false-positive rate of 0.0078" in (
        result.aupimo.undefined or ""
    )


def test_protocol_names_what_the_numbers_depend_on() -> None:
    settings = EvaluateSettings(false_alarm_rate=0.025)
    assert "256x320" in protocol(settings, (256, 320))["masks"]
    assert protocol(settings, (256, 320))["threshold"].endswith("few can promise")
    assert "at most 0.025 of good images" in protocol(settings, (256, 320))["threshold"]
    assert "from 1e-05 to 0.0001" in protocol(settings, (256, 320))["aupimo"]
    assert "native" in protocol(NATIVE, (256, 320))["masks"]
