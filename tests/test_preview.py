"""Pictures and statistics of a bank: what they show, beside what is measured by hand."""

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from builders import mvtec_category, texture
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from clflow.canvas import CELL, GAP, boxed, heat_bar, heat_cell, mask_cell, outlined, page
from clflow.data.images import read_image, resize_image, write_png
from clflow.data.manifest import build_manifest
from clflow.data.preparation import PrepareSettings
from clflow.data.records import Manifest
from clflow.errors import DataError
from clflow.synthesis.bank import read_bank, rebuild, write_bank
from clflow.synthesis.preview.real import draw_real, real_statistics
from clflow.synthesis.preview.report import write_report
from clflow.synthesis.preview.sheet import draw_sheet, even_choice
from clflow.synthesis.preview.statistics import (
    AnomalyStatistics,
    bank_statistics,
    measure_anomaly,
    summarize_anomalies,
)
from clflow.synthesis.rows import BankRow
from clflow.synthesis.settings import SynthesizeSettings

SIDE = 64
GREY = 100


def flat(size: int = SIDE) -> NDArray[np.uint8]:
    """Return an even grey image [size, size, 3]."""
    return np.full((size, size, 3), GREY, np.uint8)


def marked(*boxes: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Return a mask [SIDE, SIDE] of half-open boxes (x0, y0, x1, y1)."""
    mask = np.zeros((SIDE, SIDE), bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a category `widget` of two kinds of defect and its bank."""
    root = tmp_path_factory.mktemp("gallery")
    mvtec_category(root, train=17, defects={"crack": 3, "scratch": 4}, size=(50, 50))
    settings = SynthesizeSettings(
        image_size=CELL, per_image=1, validation_per_image=1, kind="texture"
    )
    write_bank(manifest_of(root), root, root / "bank", "mine", settings)
    return root


def manifest_of(root: Path) -> Manifest:
    return build_manifest(root, "widget", "mvtec_ad", PrepareSettings()).manifest


@pytest.fixture(scope="module")
def rows(made: Path) -> tuple[BankRow, ...]:
    return read_bank(made / "bank", "train")


def places(sheet: NDArray[np.uint8], cell: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return the corners (x, y) at which a sheet shows exactly this cell."""
    distance = cv2.matchTemplate(sheet, cell, cv2.TM_SQDIFF_NORMED)
    corners = np.argwhere(distance < 1e-3)
    height, width = cell.shape[:2]
    return [
        (int(x), int(y))
        for y, x in corners
        if np.array_equal(sheet[y : y + height, x : x + width], cell)
    ]


@given(st.lists(st.sampled_from("abcd"), max_size=60), st.integers(0, 70))
def test_choice_is_even_over_groups(groups: list[str], count: int) -> None:
    chosen = even_choice(groups, count)
    assert len(set(chosen)) == len(chosen) == min(count, len(groups))
    assert chosen == sorted(chosen, key=lambda index: (groups[index], index))
    shown = Counter(groups[index] for index in chosen)
    for group, total in Counter(groups).items():
        if shown[group] < total:
            assert shown[group] >= max(shown.values(), default=0) - 1


def test_choice_is_even_over_the_length_of_a_group() -> None:
    assert even_choice(["a"] * 100, 4) == [12, 37, 62, 87]
    assert even_choice(["b", "a"] * 50, 2) == [51, 50]


def test_one_square_is_measured() -> None:
    image, mask = flat(), marked((8, 16, 16, 24))
    image[mask] += np.array([30, 60, 0], np.uint8)
    found = measure_anomaly("g", image, mask, flat())
    assert found == AnomalyStatistics(
        "g", area=64 / SIDE**2, regions=1, contrast=30, change=30, x=12 / SIDE, y=20 / SIDE
    )


def test_contrasts_of_regions_weigh_by_area_and_do_not_cancel() -> None:
    image, small, large = flat(), marked((4, 4, 8, 8)), marked((40, 40, 48, 48))
    image[small], image[large] = GREY + 40, GREY - 20
    found = measure_anomaly("g", image, small | large)
    assert found.regions == 2
    assert found.contrast == pytest.approx((40 * 16 + 20 * 64) / 80)
    assert np.isnan(found.change)


def test_ring_leaves_other_regions_out() -> None:
    image, left, right = flat(), marked((20, 20, 30, 30)), marked((31, 20, 41, 30))
    image[left], image[right] = GREY + 50, 255
    assert measure_anomaly("g", image, left).contrast != pytest.approx(50)
    assert measure_anomaly("g", image, left | right).contrast == pytest.approx(
        (50 + 255 - GREY) / 2
    )


def test_mask_of_nothing_and_of_everything_has_no_contrast() -> None:
    nothing = measure_anomaly("g", flat(), marked(), flat())
    assert (nothing.area, nothing.regions) == (0, 0)
    assert np.isnan([nothing.contrast, nothing.change, nothing.x, nothing.y]).all()
    everything = measure_anomaly("g", flat(), marked((0, 0, SIDE, SIDE)), flat())
    assert (everything.area, everything.change, everything.x) == (1, 0, 0.5)
    assert np.isnan(everything.contrast)


@given(st.integers(0, 2**32 - 1))
def test_measures_do_not_depend_on_brightness_and_turn_with_the_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image, mask = texture(rng, (SIDE, SIDE)), cv2.blur(rng.random((SIDE, SIDE)), (9, 9)) > 0.52
    before, brighter = (
        measure_anomaly("g", image, mask),
        measure_anomaly("g", image + np.uint8(50), mask),
    )
    assert brighter.contrast == pytest.approx(before.contrast, nan_ok=True)
    turned = measure_anomaly("g", image[:, ::-1], mask[:, ::-1])
    assert turned.x == pytest.approx(1 - before.x, nan_ok=True)
    assert (turned.y, turned.area) == pytest.approx((before.y, before.area), nan_ok=True)
    assert turned.contrast == pytest.approx(before.contrast, nan_ok=True)


def test_summary_has_a_line_for_each_of_several_groups() -> None:
    values = [("a", 0.1, 1), ("b", 0.2, 2), ("b", 0.4, 3)]
    found = summarize_anomalies(
        AnomalyStatistics(group, area, regions, 5.0, np.nan, 0.5, area)
        for group, area, regions in values
    ).set_index("group")
    assert list(found.index) == ["all", "a", "b"]
    assert list(found["images"]) == [3, 1, 2]
    assert list(found["area_median"]) == pytest.approx([0.2, 0.1, 0.3])
    assert found.loc["all", "area_p95"] == pytest.approx(0.38)
    assert list(found["regions_mean"]) == [2, 1, 2.5]
    assert list(found["regions_max"]) == [3, 1, 3]
    assert found.loc["b", "y_std"] == pytest.approx(np.std([0.2, 0.4], ddof=1))
    assert found["change_median"].isna().all()
    assert list(
        summarize_anomalies([AnomalyStatistics("a", 0.1, 1, 5.0, 1.0, 0.5, 0.5)])["group"]
    ) == ["all"]


def test_statistics_of_a_bank_made_by_hand(
    made: Path, rows: tuple[BankRow, ...], tmp_path: Path
) -> None:
    """A square of 20 x 10 pixels, 40 grey levels above the good image."""
    row = replace(rows[0], image=tmp_path / "image.png", mask=tmp_path / "mask.png")
    mask = np.zeros((CELL, CELL), bool)
    mask[50:60, 30:50] = True
    good = resize_image(read_image(made / row.destination.path), CELL, CELL)
    write_png(row.image, np.where(mask[..., None], good + np.uint8(40), good))
    write_png(row.mask, mask)
    (line,) = bank_statistics([row], made).to_dict("records")
    assert line["area_median"] == pytest.approx(200 / CELL**2)
    assert (line["change_median"], line["regions_max"]) == (40, 1)
    assert (line["x_mean"], line["y_mean"]) == pytest.approx((40 / CELL, 55 / CELL))
    assert line["contrast_median"] == pytest.approx(40, abs=10)


def test_cells_are_the_saved_files(made: Path, rows: tuple[BankRow, ...]) -> None:
    sheet = draw_sheet(rows, made, "title", count=4)
    shown = [row for row in rows if places(sheet, read_image(row.image))]
    assert shown == [rows[index] for index in even_choice(["g"] * len(rows), 4)]
    for row in shown:
        ((x, y),) = places(sheet, read_image(row.image))
        good = resize_image(read_image(made / row.destination.path), CELL, CELL)
        anomaly = rebuild(row, made)
        expected = [
            (-1, good),
            (1, mask_cell(anomaly.mask)),
            (2, heat_cell(anomaly.label, max(1.0, float(anomaly.label.max())))),
            (3, boxed(read_image(row.image), row.boxes, row.shape)),
        ]
        for step, cell in expected:
            left = x + step * (CELL + GAP)
            np.testing.assert_array_equal(sheet[y : y + CELL, left : left + CELL], cell)


def test_sheet_grows_by_a_row_of_cells(made: Path, rows: tuple[BankRow, ...]) -> None:
    two, three, all_ = (draw_sheet(rows, made, "title", count) for count in (2, 3, 10**6))
    assert two.shape[1] == three.shape[1] > 5 * CELL
    assert three.shape[0] - two.shape[0] == CELL + GAP
    assert all_.shape[0] - two.shape[0] == (len(rows) - 2) * (CELL + GAP)


def test_sheet_of_a_changed_or_missing_image_is_refused(
    made: Path, rows: tuple[BankRow, ...], tmp_path: Path
) -> None:
    for path in {row.destination.path for row in rows}:
        write_png(tmp_path / path, np.zeros((40, 50, 3), np.uint8))
    with pytest.raises(DataError, match="changed"):
        draw_sheet(rows, tmp_path, "title")
    with pytest.raises(DataError, match=r"000\.png has changed: .* or run `dvc repro`"):
        bank_statistics(rows, tmp_path)
    with pytest.raises(DataError, match="title holds no anomaly"):
        draw_sheet((), made, "title")


def test_boxes_and_outlines_leave_what_they_mark_visible() -> None:
    mask = np.zeros((CELL, CELL), bool)
    mask[20:40, 60:100] = True
    cell = page(CELL, CELL)
    for drawn in (boxed(cell, [(60, 20, 100, 40)], (CELL, CELL)), outlined(cell, mask)):
        changed = (drawn != cell).any(axis=2)
        assert changed.any()
        assert not changed[21:39, 61:99].any()
        assert not changed[:18].any()
        assert not changed[42:].any()
    assert not (outlined(cell, mask) != cell).any(axis=2)[mask].any()


def test_colours_run_from_zero_to_the_top() -> None:
    ramp = np.linspace(0, 30, CELL, dtype=np.float32)
    heat = heat_cell(np.tile(ramp, (CELL, 1)), 30.0)
    np.testing.assert_array_equal(heat[: len(heat_bar())], heat_bar())
    light = heat[0].astype(int).sum(axis=1)
    assert light[0] < 20 < 500 < light[-1]


def test_report_is_whole_and_repeats_exactly(
    made: Path, rows: tuple[BankRow, ...], tmp_path: Path
) -> None:
    for name in ("a", "b"):
        write_report(rows, made, tmp_path / name, "title")
    files = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}
    assert files.keys() == {"sheet.png", "statistics.csv"}
    table = pd.read_csv(tmp_path / "a/statistics.csv")
    pd.testing.assert_frame_equal(table, bank_statistics(rows, made), rtol=1e-5, check_dtype=False)
    broken = [*rows, replace(rows[0], mask=tmp_path / "absent.png")]
    with pytest.raises(DataError, match="absent"):
        write_report(broken, made, tmp_path / "a", "title")
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_real_defects_are_spread_over_their_kinds(made: Path) -> None:
    manifest = manifest_of(made)
    picture = draw_real(manifest, made, count=4)
    red = (picture == (255, 0, 0)).all(axis=2)
    columns = red.any(axis=0).nonzero()[0]
    groups = np.split(columns, np.nonzero(np.diff(columns) > GAP)[0] + 1)
    assert len(groups) == 4, "one outline in each of four cells side by side"
    assert draw_real(manifest, made, count=10**6).shape[0] > picture.shape[0]


def test_real_defects_are_measured_at_the_size_of_the_bank(made: Path) -> None:
    """Squares of 12 x 12 at 250 in images of 50 x 50 pixels of about 90 grey levels."""
    table = real_statistics(manifest_of(made), made, SIDE).set_index("group")
    assert list(table.index) == ["real defects", "crack", "scratch"]
    assert list(table["images"]) == [7, 3, 4]
    assert table["area_median"].to_numpy() == pytest.approx(144 / 2500, rel=0.1)
    assert table["contrast_median"].between(120, 180).all()
    assert table["change_median"].isna().all()


def test_without_marks_defects_are_shown_and_not_measured(tmp_path: Path) -> None:
    mvtec_category(tmp_path, masks=False)
    manifest = manifest_of(tmp_path)
    assert not (draw_real(manifest, tmp_path) == (255, 0, 0)).all(axis=2).any()
    with pytest.raises(DataError, match="no masks"):
        real_statistics(manifest, tmp_path, SIDE)
    good = Manifest("widget", manifest.train)
    with pytest.raises(DataError, match="no anomalous test image"):
        draw_real(good, tmp_path)


def test_report_reads_no_test_image(made: Path, rows: tuple[BankRow, ...], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made / "widget/train", copy / "widget/train")
    write_report(rows, copy, tmp_path / "report", "title")
    assert (tmp_path / "report/sheet.png").is_file()
