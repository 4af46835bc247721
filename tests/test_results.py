from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_files import DATASET, write_run, write_study

from clflow.errors import DataError
from clflow.metrics.registry import METRICS
from clflow.report.results import COLUMNS, csv_text, load_results, read_results, write_results
from clflow.study.runs import read_result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "results" / "runs" / "small"


def test_rows_are_in_the_order_of_the_study_whatever_else_is_in_the_folder(folder: Path) -> None:
    for method in ("fastflow", "clflow", "stale"):
        for category in ("zipper", "bottle", "stale"):
            write_run(folder, method, category, {seed: {} for seed in (0, 1, 7)})
    frame = read_results(folder, ["zipper", "bottle"], ["fastflow", "clflow"], [7, 0])
    assert tuple(frame.columns) == COLUMNS
    assert frame[list(COLUMNS[1:5])].to_records(index=False).tolist() == [
        (category, method, seed, metric)
        for category in ("zipper", "bottle")
        for method in ("fastflow", "clflow")
        for seed in (7, 0)
        for metric in METRICS
    ]


def test_an_undefined_value_is_an_empty_field(folder: Path, tmp_path: Path) -> None:
    write_run(folder, "clflow", "bottle", {0: {"pixel_ap": None, "image_ap": 0.1 + 0.2}})
    frame = read_results(folder, ["bottle"], ["clflow"], [0])
    write_results(frame, tmp_path / "results.csv")
    lines = (tmp_path / "results.csv").read_bytes().decode().split("\n")
    assert len(lines) == 1 + len(METRICS) + 1
    assert "mvtec_ad,bottle,clflow,0,pixel_ap," in lines
    assert "mvtec_ad,bottle,clflow,0,image_ap,0.30000000000000004" in lines


@settings(max_examples=50, deadline=None)
@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
def test_the_tidy_table_reads_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, category: str, value: float | None
) -> None:
    path = tmp_path_factory.getbasetemp() / "round_trip.csv"
    row = (DATASET, category, "clflow", 0, "image_ap", value)
    frame = pd.DataFrame([row], columns=list(COLUMNS)).astype({"value": float})
    write_results(frame, path)
    pd.testing.assert_frame_equal(load_results(path), frame, check_exact=True, check_dtype=False)
    assert csv_text(load_results(path)) == csv_text(frame)


@pytest.mark.parametrize("name", ["NA", "nan", "None", "01", "1.0"])
def test_a_category_that_looks_like_a_value_stays_a_name(folder: Path, name: str) -> None:
    frame = write_study(folder, {name: {"clflow": [0.5]}})
    write_results(frame, folder / "results.csv")
    assert set(load_results(folder / "results.csv")["category"]) == {name}


def test_a_missing_file_is_named_with_what_to_do(folder: Path) -> None:
    write_run(folder, "clflow", "bottle", {0: {}})
    with pytest.raises(
        DataError, match=r"clflow on cable.*cable\.json is missing; run `dvc repro`"
    ):
        read_results(folder, ["bottle", "cable"], ["clflow"], [0])


def test_a_missing_seed_is_named_with_what_to_do(folder: Path) -> None:
    write_run(folder, "clflow", "bottle", {0: {}, 2: {}})
    with pytest.raises(DataError, match=r"no seed 1 \(it has 0, 2\); run `dvc repro`"):
        read_results(folder, ["bottle"], ["clflow"], [0, 1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"study": "other"}, "other/clflow/bottle", id="another study"),
        pytest.param({"category": "cable"}, "small/clflow/cable", id="another category"),
        pytest.param({"counts": None}, "counts", id="a key of the wrong type"),
        pytest.param({"seeds": {"0": {"image_ap": "x"}}}, "image_ap", id="a value that is text"),
    ],
)
def test_a_malformed_run_is_refused(folder: Path, changes: dict[str, Any], message: str) -> None:
    write_run(folder, "clflow", "bottle", {0: {}}, **changes)
    with pytest.raises(DataError, match=rf"bottle\.json.*{message}.*`dvc repro`"):
        read_results(folder, ["bottle"], ["clflow"], [0])


@pytest.mark.parametrize(
    "content",
    [
        pytest.param('{"study": "small", ', id="cut short"),
        pytest.param("", id="empty"),
        pytest.param("[]", id="a list"),
    ],
)
def test_a_file_that_is_no_run_is_refused(folder: Path, content: str) -> None:
    write_run(folder, "clflow", "bottle", {0: {}}).write_text(content)
    with pytest.raises(DataError, match=r"bottle\.json is malformed"):
        read_results(folder, ["bottle"], ["clflow"], [0])


def test_a_metric_that_a_file_lacks_is_undefined_and_one_unknown_is_kept_out(folder: Path) -> None:
    write_run(folder, "clflow", "bottle", {0: {}}, seeds={"0": {"image_ap": 1.0, "speed": 2.0}})
    frame = read_results(folder, ["bottle"], ["clflow"], [0])
    assert frame["metric"].tolist() == list(METRICS)
    assert frame.dropna()[["metric", "value"]].to_numpy().tolist() == [["image_ap", 1.0]]
    assert read_result(folder, "clflow", "bottle").seeds == {0: {"image_ap": 1.0, "speed": 2.0}}


def test_a_file_of_another_place_is_no_result_of_this_one(folder: Path) -> None:
    with pytest.raises(DataError, match=r"bottle\.json is missing; run `dvc repro`"):
        read_result(folder, "clflow", "bottle")
    path = write_run(folder, "clflow", "bottle", {0: {}})
    moved = path.with_name("cable.json")
    path.rename(moved)
    with pytest.raises(DataError, match="holds small/clflow/bottle, not small/clflow/cable"):
        read_result(folder, "clflow", "cable")


def test_a_number_that_is_not_finite_is_refused(folder: Path) -> None:
    path = write_run(folder, "clflow", "bottle", {0: {"image_ap": 0.25}})
    path.write_text(path.read_text().replace("0.25", "NaN"))
    with pytest.raises(DataError, match="image_ap"):
        read_results(folder, ["bottle"], ["clflow"], [0])


def test_methods_evaluated_on_different_images_are_not_compared(folder: Path) -> None:
    write_run(folder, "clflow", "bottle", {0: {}})
    write_run(folder, "fastflow", "bottle", {0: {}}, digests={"manifest": "older", "bank": "b"})
    with pytest.raises(DataError, match=r"clflow and fastflow .*different manifests of bottle"):
        read_results(folder, ["bottle"], ["clflow", "fastflow"], [0])
