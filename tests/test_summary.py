import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_files import write_run, write_study

from clflow.report.results import COLUMNS, read_results
from clflow.report.summary import (
    OVERALL,
    Claim,
    Marks,
    Row,
    cell_text,
    mean_metrics,
    rows_of,
    summarize,
)


def texts(rows: list[Row]) -> list[list[str]]:
    return [[cell.text for cell in row.cells] for row in rows]


def best(rows: list[Row]) -> list[list[bool]]:
    return [[cell.best for cell in row.cells] for row in rows]


def marked(rows: list[Row]) -> list[str]:
    """Return the first row's marks: 1 the best, 2 the runner-up."""
    return ["1" if cell.best else "2" if cell.second else "-" for cell in rows[0].cells]


class EveryClaim(frozenset[Claim]):
    """All that could be claimed of two methods."""

    def __contains__(self, claim: object) -> bool:
        return True


ALL = Marks(EveryClaim())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "results" / "runs" / "small"


def test_mean_and_sample_deviation_by_hand(folder: Path) -> None:
    frame = write_study(
        folder,
        {
            "zipper": {"fastflow": [0.80, 0.90, 1.00], "clflow": [0.90, 0.90, 0.96]},
            "bottle": {"fastflow": [0.60, 0.70, 0.60], "clflow": [0.70, 0.80, 0.84]},
        },
    )
    summary = summarize(frame, "image_auroc")
    # Over seeds; the last row over the seeds' means of both categories: 0.70, 0.80, 0.80 and
    # 0.80, 0.85, 0.90.
    assert summary.mean.to_numpy() == pytest.approx(
        np.array([[0.90, 0.92], [1.90 / 3, 0.78], [2.30 / 3, 0.85]])
    )
    assert summary.std.to_numpy() == pytest.approx(
        np.sqrt([[0.02 / 2, 0.0024 / 2], [0.02 / 3 / 2, 0.0104 / 2], [0.02 / 3 / 2, 0.005 / 2]])
    )
    assert texts(rows_of(summary, 3))[0] == ["0.900 ± 0.100", "0.920 ± 0.035"]


def test_one_seed_has_no_deviation(folder: Path) -> None:
    rows = rows_of(summarize(write_study(folder, {"a": {"x": [0.9]}}), "image_auroc"), 3)
    assert texts(rows) == [["0.900"], ["0.900"]]


def test_an_undefined_category_is_a_dash_and_is_left_out_of_every_method_s_mean(
    folder: Path,
) -> None:
    frame = write_study(
        folder,
        {
            "a": {"x": [0.1, 0.3], "y": [0.5, 0.5]},
            "b": {"x": [None, None], "y": [0.9, 0.9]},
            "c": {"x": [0.2, 0.4], "y": [0.6, None]},
        },
    )
    summary = summarize(frame, "image_auroc")
    rows = rows_of(summary, 2)
    assert summary.averaged == ("a",)
    assert [row.label for row in rows] == ["a", "b", "c", "mean of 1 of 3 categories"]
    assert texts(rows) == [
        ["0.20 ± 0.14", "0.50 ± 0.00"],
        ["–", "0.90 ± 0.00"],
        ["0.30 ± 0.14", "–"],
        ["0.20 ± 0.14", "0.50 ± 0.00"],
    ]


def test_a_metric_that_is_nowhere_defined_has_no_mean_and_no_best(folder: Path) -> None:
    frame = write_study(folder, {"a": {"x": [None], "y": [None]}})
    rows = rows_of(summarize(frame, "image_auroc"), 3)
    assert texts(rows) == [["–", "–"], ["–", "–"]]
    assert best(rows) == [[False, False], [False, False]]


def test_a_category_may_be_called_mean(folder: Path) -> None:
    rows = rows_of(summarize(write_study(folder, {"mean": {"x": [0.2]}}), "image_auroc"), 1)
    assert [row.label for row in rows] == ["mean", "mean of 1 category"]


@pytest.mark.parametrize(
    ("values", "digits", "expected"),
    [
        pytest.param([0.91, 0.92], 2, "21", id="higher is better"),
        pytest.param([0.91, 0.92, 0.93], 2, "-21", id="three"),
        pytest.param([0.9196, 0.9204], 3, "--", id="a tie as displayed"),
        pytest.param([0.9196, 0.9204], 4, "21", id="no tie with more decimals"),
        pytest.param([0.8, 0.9, 0.8], 3, "212", id="two runners-up"),
        pytest.param([None, 0.1, 0.2], 3, "-21", id="one is undefined"),
        pytest.param([None, 0.1], 3, "--", id="the only defined one is not marked"),
        pytest.param([0.9], 3, "-", id="the only method is not marked"),
    ],
)
def test_the_best_is_marked_where_it_differs(
    folder: Path, values: list[float | None], digits: int, expected: str
) -> None:
    frame = write_study(folder, {"a": {f"m{i}": [value] for i, value in enumerate(values)}})
    summary = summarize(frame, "image_auroc")
    assert marked(rows_of(summary, digits, ALL)) == list(expected)
    assert set(marked(rows_of(summary, digits))) == {"-"}


def test_a_claim_counts_for_its_metric_place_and_direction_alone(folder: Path) -> None:
    frame = write_study(folder, {"a": {"x": [0.6], "y": [0.7]}, "b": {"x": [0.6], "y": [0.7]}})
    summary = summarize(frame, "image_auroc")

    def marks(*claim: str) -> list[list[bool]]:
        return best(rows_of(summary, 3, Marks(frozenset({Claim(*claim)}))))

    assert marks("image_auroc", "a", "y", "x") == [[False, True], [False] * 2, [False] * 2]
    assert marks("image_auroc", OVERALL, "y", "x") == [[False] * 2, [False] * 2, [False, True]]
    # a rank test may favour the method with the lower mean: then neither is marked
    for claim in (("image_auroc", "a", "x", "y"), ("image_ap", "a", "y", "x")):
        assert marks(*claim) == [[False] * 2] * 3


def test_the_best_must_differ_from_every_runner_up(folder: Path) -> None:
    frame = write_study(folder, {"a": {"x": [0.6], "y": [0.9], "z": [0.6]}})
    claims = [Claim("image_auroc", "a", "y", other) for other in "xz"]
    summary = summarize(frame, "image_auroc")
    assert marked(rows_of(summary, 3, Marks(frozenset(claims)))) == ["2", "1", "2"]
    assert marked(rows_of(summary, 3, Marks(frozenset(claims[:1])))) == ["-", "-", "-"]


def test_flagged_cells(folder: Path) -> None:
    frame = write_study(folder, {"a": {"x": [0.6], "y": [0.9]}, "b": {"x": [0.6], "y": [0.9]}})
    marks = Marks(flagged=frozenset({("a", "x"), (OVERALL, "x")}))
    rows = rows_of(summarize(frame, "image_ap"), 3, marks)
    assert [[cell.flagged for cell in row.cells] for row in rows] == [
        [True, False],
        [False, False],
        [True, False],
    ]


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        pytest.param("image_fpr", ["1", "2"], id="lower is better"),
        pytest.param("threshold", ["-", "-"], id="neither is better"),
    ],
)
def test_the_best_follows_the_metric(folder: Path, metric: str, expected: list[str]) -> None:
    write_run(folder, "x", "a", {0: {metric: 0.1}})
    write_run(folder, "y", "a", {0: {metric: 0.2}})
    frame = read_results(folder, ["a"], ["x", "y"], [0])
    assert marked(rows_of(summarize(frame, metric), 3, ALL)) == expected


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 6))
def test_only_values_that_look_different_are_marked(a: float, b: float, digits: int) -> None:
    rows = [("d", "c", method, 0, "image_ap", v) for method, v in (("x", a), ("y", b))]
    summary = summarize(pd.DataFrame(rows, columns=list(COLUMNS)), "image_ap")
    first, second = rows_of(summary, digits, ALL)[0].cells
    assert (first.text != second.text) == (first.best or second.best)
    assert (first.best, first.second) == (second.second, second.best)


@pytest.mark.parametrize(
    ("mean", "std", "text"),
    [
        pytest.param(0.98651, 0.0042, "0.987 ± 0.004", id="both"),
        pytest.param(0.9, math.nan, "0.900", id="one seed"),
        pytest.param(math.nan, math.nan, "–", id="undefined"),
    ],
)
def test_cell_text(mean: float, std: float, text: str) -> None:
    assert cell_text(mean, std, 3) == text


def test_the_means_are_those_of_the_last_rows(folder: Path) -> None:
    frame = write_study(
        folder,
        {
            "zipper": {"x": [0.8, 0.9], "y": [0.9, None]},
            "bottle": {"x": [0.6, 0.7], "y": [0.7, 0.8]},
        },
    )
    means = mean_metrics(frame)
    # zipper lacks a value of y: it counts for neither, whatever x has there
    assert means["x"]["image_auroc"] == pytest.approx(0.65)
    assert means["y"]["image_auroc"] == pytest.approx(0.75)
    for name in ("image_auroc", "aupro_30"):
        last = summarize(frame, name).mean.iloc[-1]
        assert {method: own[name] for method, own in means.items()} == last.to_dict()


def test_a_run_without_rows_leaves_its_category_out_of_every_mean(folder: Path) -> None:
    frame = write_study(
        folder, {"zipper": {"x": [0.8], "y": [0.9]}, "bottle": {"x": [1], "y": [1]}}
    )
    gone = (frame["category"] == "zipper") & (frame["method"] == "y")
    assert mean_metrics(frame[~gone])["x"]["image_auroc"] == 1
    odd = frame.assign(metric="image_auroc_of_tomorrow")
    assert mean_metrics(odd) == {"x": {}, "y": {}}
