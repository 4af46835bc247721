"""Intervals, tests and flags of a study: what they count, and that nothing is left out."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from run_files import (
    ANOMALOUS,
    GOOD,
    scores_of,
    write_full_study,
    write_run,
    write_scores,
)

from clflow.errors import DataError
from clflow.report.evidence import INTERVAL_COLUMNS, Flag, Report, marks_of
from clflow.report.results import csv_text, load_saved_scores, score_file
from clflow.report.settings import TabulateSettings
from clflow.report.summary import OVERALL, Claim
from clflow.report.tables import Sources, read_study, write_tables
from clflow.report.tests import load_comparisons
from clflow.statistics.comparison import holm, signed_rank
from clflow.statistics.delong import paired_test, placements
from clflow.study.settings import StudySettings

SETTINGS = TabulateSettings(metrics=("image_auroc",), resamples=200)
NOT_FINITE = "scores that are NaN or infinite"
VALUES = {
    "a": {"x": [0.6, 0.65], "y": [0.97, 0.99]},
    "b": {"x": [0.9, 0.8], "y": [0.85, 0.9]},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "results" / "runs" / "small"


def report_of(folder: Path, values: dict[str, dict[str, list[float]]]) -> Report:
    return read_study(*write_full_study(folder, values), SETTINGS)


def many(categories: int, methods: str = "xy") -> dict[str, dict[str, list[float]]]:
    """Return AUROCs in which each method is a little better than the one before, everywhere."""
    return {
        f"c{c}": {m: [0.6 + 0.05 * i + 0.005 * c * (i + 1)] for i, m in enumerate(methods)}
        for c in range(categories)
    }


def pick(table: pd.DataFrame, **values: str) -> pd.DataFrame:
    for column, value in values.items():
        table = table[table[column] == value]
    return table


def text_of(report: Report, study: StudySettings, sources: Sources, out: Path) -> str:
    write_tables(study, sources, SETTINGS, out)
    return re.sub(r" +", " ", (out / "summary.md").read_text())


def test_intervals_hold_the_mean_and_say_of_how_many_seeds(folder: Path) -> None:
    table = report_of(folder, VALUES).evidence.intervals
    assert tuple(table.columns) == INTERVAL_COLUMNS
    own = pick(table, metric="image_auroc")
    assert own["category"].tolist() == ["a", "a", "b", "b", OVERALL, OVERALL]
    assert own["mean"].tolist() == pytest.approx([0.625, 0.98, 0.85, 0.875, 0.7375, 0.9275])
    assert (own["low"] < own["mean"]).all()
    assert (own["mean"] < own["high"]).all()
    assert set(own["seeds"]) == {2}
    # the mean of two categories is known better than either
    width = (own["high"] - own["low"]).tolist()
    assert width[4] < min(width[0], width[2])


def test_metrics_without_a_score_per_image_have_no_interval(folder: Path) -> None:
    table = pick(report_of(folder, VALUES).evidence.intervals, metric="pixel_auroc")
    assert table["mean"].notna().all()
    assert table[["low", "high"]].isna().all(axis=None)


def test_another_category_does_not_move_an_interval(folder: Path, tmp_path: Path) -> None:
    both = report_of(folder, VALUES).evidence.intervals
    alone = report_of(tmp_path / "other/runs/small", {"b": VALUES["b"]}).evidence.intervals
    assert csv_text(pick(both, category="b")) == csv_text(pick(alone, category="b"))


def test_delong_rows_are_adjusted_over_the_whole_table(folder: Path) -> None:
    values = {name: own | {"z": [0.7, 0.7]} for name, own in VALUES.items()}
    rows = pick(report_of(folder, values).evidence.comparisons, test="delong")
    assert rows[["category", "first", "second"]].to_numpy().tolist() == [
        [category, *pair] for category in "ab" for pair in ("xy", "xz", "yz")
    ]
    labels = [0] * 10 + [1] * 20
    scores = {m: [scores_of(v) for v in own] for m, own in values["a"].items()}
    expected = paired_test(placements(labels, scores["x"]), placements(labels, scores["y"]))
    assert rows["p"].iloc[0] == pytest.approx(expected.p)
    assert rows["difference"].iloc[0] == pytest.approx(0.625 - 0.98)
    assert rows["p_adjusted"].tolist() == holm(rows["p"]).tolist()
    assert (rows["significant"] == (rows["p_adjusted"] < 0.05)).all()
    assert not rows["significant"].any()


def with_influences(sources: Sources, method: str, category: str, seed: int) -> None:
    """Add influences on AUPRO; one anomalous image has no mask."""
    path = score_file(sources.scores, method, category, seed)
    rng = np.random.default_rng(seed + len(method))
    moves = rng.normal(size=GOOD + ANOMALOUS) / 400
    moves[-1] = np.nan
    table = pd.read_parquet(path)
    table.assign(aupro_30_influence=[*moves, np.nan]).to_parquet(path, index=False)


def test_aupro_is_tested_by_the_influence_of_each_image(folder: Path) -> None:
    study, sources = write_full_study(folder, VALUES)
    seeds = {m: {s: {"aupro_30": value} for s in (0, 1)} for m, value in (("x", 0.5), ("y", 0.6))}
    for category in "ab":
        for method, own in seeds.items():
            image = {s: {"image_auroc": v} for s, v in enumerate(VALUES[category][method])}
            write_run(folder, method, category, {s: image[s] | own[s] for s in (0, 1)})
            for seed in (0, 1):
                with_influences(sources, method, category, seed)
    report = read_study(study, sources, TabulateSettings(metrics=("image_auroc", "aupro_30")))
    rows = pick(report.evidence.comparisons, test="jackknife")
    assert rows["metric"].tolist() == ["aupro_30", "aupro_30"]
    assert rows["difference"].tolist() == pytest.approx([-0.1, -0.1])
    assert rows["n"].tolist() == [GOOD + ANOMALOUS - 1] * 2
    assert rows["p_adjusted"].tolist() == holm(rows["p"]).tolist()
    assert rows["better"].tolist() == ["y", "y"]
    assert Claim("aupro_30", "a", "y", "x") in marks_of(report.evidence.comparisons).claims


def test_without_influences_aupro_has_no_test_and_says_why(folder: Path) -> None:
    settings = TabulateSettings(metrics=("image_auroc", "aupro_30"))
    report = read_study(*write_full_study(folder, VALUES), settings)
    rows = pick(report.evidence.comparisons, test="jackknife")
    assert rows["p"].isna().all()
    assert rows["note"].str.startswith("needs an anomaly map of both methods").all()


@pytest.mark.parametrize("swap", [False, True])
def test_a_significant_difference_names_the_better_method(folder: Path, swap: bool) -> None:
    values = {"x": [0.55, 0.55], "y": [0.99, 1.0]}
    own = dict(reversed(values.items())) if swap else values
    comparisons = report_of(folder, {"a": own}).evidence.comparisons
    row = pick(comparisons, test="delong").iloc[0]
    assert (row["significant"], row["better"]) == (True, "y")
    assert marks_of(comparisons).claims == {Claim("image_auroc", "a", "y", "x")}


def test_five_categories_say_that_no_test_over_them_can_be_significant(folder: Path) -> None:
    rows = pick(report_of(folder, many(5)).evidence.comparisons, test="wilcoxon")
    assert rows["p"].isna().all()
    assert not rows["significant"].any()
    note = "no difference can be significant below 6 categories; there are 5"
    assert rows["note"].tolist() == [note]


def test_wilcoxon_over_six_categories_marks_the_mean(folder: Path) -> None:
    comparisons = report_of(folder, many(6)).evidence.comparisons
    row = pick(comparisons, test="wilcoxon").iloc[0]
    assert (row["p"], row["p_adjusted"], row["better"], row["n"]) == (0.03125, 0.03125, "y", 6)
    assert Claim("image_auroc", OVERALL, "y", "x") in marks_of(comparisons).claims
    assert pick(comparisons, test="friedman")["note"].item().startswith("needs 3 methods")


def test_wilcoxon_p_values_are_adjusted_over_the_pairs_of_a_metric(folder: Path) -> None:
    rows = pick(report_of(folder, many(7, "xyz")).evidence.comparisons, test="wilcoxon")
    assert rows["p"].tolist() == [2**-6] * 3
    assert rows["p_adjusted"].tolist() == [3 * 2**-6] * 3


def test_friedman_and_nemenyi_need_three_methods_and_five_categories(folder: Path) -> None:
    rows = report_of(folder, many(5, "xyz")).evidence.comparisons
    assert pick(rows, test="friedman")["p"].item() == pytest.approx(np.exp(-5))
    nemenyi = pick(rows, test="nemenyi")
    assert nemenyi["difference"].tolist() == [1.0, 2.0, 1.0]
    assert nemenyi["better"].tolist() == ["", "z", ""]


def test_nemenyi_claims_nothing_where_friedman_finds_nothing(folder: Path) -> None:
    values = {f"c{i}": {m: [0.7] for m in "xyz"} for i in range(5)}
    rows = report_of(folder, values).evidence.comparisons
    assert pick(rows, test="friedman")["p"].item() == 1
    assert not rows["significant"].any()


def test_one_method_is_compared_with_nothing(folder: Path) -> None:
    assert report_of(folder, many(6, "x")).evidence.comparisons.empty


def test_the_table_of_tests_reads_back(folder: Path, tmp_path: Path) -> None:
    values = {"01": VALUES["a"], "NA": VALUES["b"]}
    study, sources = write_full_study(folder, values)
    report = write_tables(study, sources, SETTINGS, tmp_path / "tables")
    table = load_comparisons(tmp_path / "tables" / "comparisons.csv")
    pd.testing.assert_frame_equal(table, report.evidence.comparisons, check_dtype=False)
    assert marks_of(table) == report.marks._replace(flagged=frozenset())
    with pytest.raises(DataError, match="run `dvc repro`"):
        load_comparisons(tmp_path / "none.csv")


def test_a_missing_run_is_shown_and_counts_as_the_worst(folder: Path, tmp_path: Path) -> None:
    study, sources = write_full_study(folder, many(6))
    (folder / "y" / "c2.json").unlink()
    report = read_study(study, sources, SETTINGS)
    reason = "no result, the run failed or was not made"
    assert report.evidence.flags == (Flag("c2", "y", (0,), reason),)
    text = text_of(report, study, sources, tmp_path / "tables")
    assert "| c2 | 0.610 | – † |" in text
    assert "| mean of 5 of 6 categories | " in text
    assert f"- † y on c2, seed 0: {reason}." in text
    assert "| c2 | 0.610 [" in text
    assert r"c2 & 0.610 & --$^\dagger$ \\" in (tmp_path / "tables/summary.tex").read_text()
    tests = report.evidence.comparisons
    row = pick(tests, test="wilcoxon").iloc[0]
    assert (row["n"], row["better"]) == (6, "")
    # ranks 1 to 5 are for y, the largest, 6, is against it: 28 of 64 sign patterns are as uneven
    assert row["statistic"] == 6
    assert row["p"] == signed_rank([1, 2, 3, 4, 5, -6], [0] * 6).p
    assert pick(tests, test="delong", category="c2")["note"].item().startswith("needs a score")
    assert report.results["value"].isna().sum() == len(report.results["metric"].unique())


def test_a_missing_seed_leaves_the_method_undefined(folder: Path) -> None:
    study, sources = write_full_study(folder, VALUES)
    write_run(folder, "y", "a", {0: {"image_auroc": 0.97}})
    report = read_study(study, sources, SETTINGS)
    assert [(flag.method, flag.seeds) for flag in report.evidence.flags] == [("y", (1,))]
    own = pick(report.evidence.intervals, metric="image_auroc", category="a", method="y")
    assert own[["mean", "std", "low", "high"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("scores", "auroc", "reason"),
    [
        pytest.param([3.0] * 30, 0.5, "the same score for every test image", id="constant"),
        pytest.param(scores_of(0.4), 0.4, "image AUROC no better than chance", id="chance"),
        pytest.param([np.nan, *scores_of(0.9)[1:]], 0.9, NOT_FINITE, id="NaN"),
        pytest.param([*scores_of(0.9)[1:], np.inf], 0.9, NOT_FINITE, id="infinite"),
    ],
)
def test_degenerate_runs_are_shown_and_flagged(
    folder: Path, tmp_path: Path, scores: list[float], auroc: float, reason: str
) -> None:
    study, sources = write_full_study(folder, VALUES)
    write_run(folder, "x", "b", {0: {"image_auroc": auroc}, 1: {"image_auroc": 0.8}})
    write_scores(sources.scores, "x", "b", 0, scores)
    report = read_study(study, sources, SETTINGS)
    assert report.evidence.flags == (Flag("b", "x", (0,), reason),)
    text = re.sub(r"<ins>|</ins>|\*\*", "", text_of(report, study, sources, tmp_path / "tables"))
    value = f"{(auroc + 0.8) / 2:.3f}"
    assert re.search(rf"\| b \| {value} ± 0.\d+ † \| 0.875", text)
    assert re.search(r"mean of 2 categories \| 0.\d+ ± 0.\d+ † \|", text)
    assert f"- † x on b, seed 0: {reason}." in text


def test_a_method_that_tells_all_images_apart_is_not_called_certain(
    folder: Path, tmp_path: Path
) -> None:
    study, sources = write_full_study(folder, {"a": {"x": [1.0], "y": [0.9]}})
    text = text_of(read_study(study, sources, SETTINGS), study, sources, tmp_path)
    assert "| 1.000 [1.000, 1.000] |" in text
    assert "- All test images are told apart by x on a: an interval without width" in text


def test_no_run_at_all_is_an_error(folder: Path) -> None:
    study, sources = write_full_study(folder, VALUES)
    for path in folder.rglob("*.json"):
        path.unlink()
    with pytest.raises(DataError, match=r"all runs of the study are missing; run `dvc repro`"):
        read_study(study, sources, SETTINGS)


def test_missing_scores_of_a_finished_run_are_an_error(folder: Path) -> None:
    study, sources = write_full_study(folder, VALUES)
    score_file(sources.scores, "y", "b", 1).unlink()
    with pytest.raises(DataError, match=r"cannot read raw scores .*seed-1\.parquet.*`dvc repro`"):
        read_study(study, sources, SETTINGS)


def test_scores_that_do_not_give_the_metric_are_an_error(folder: Path) -> None:
    study, sources = write_full_study(folder, VALUES)
    write_scores(sources.scores, "y", "b", 1, scores_of(0.895))
    with pytest.raises(DataError, match=r"AUROC of 0\.895000, the results say 0\.900000"):
        read_study(study, sources, SETTINGS)


@pytest.mark.parametrize("column", ["path", "label"])
def test_scores_of_other_images_are_an_error(folder: Path, column: str) -> None:
    study, sources = write_full_study(folder, VALUES)
    path = score_file(sources.scores, "y", "b", 1)
    table = pd.read_parquet(path)
    table.loc[table.index[3], column] = "other.png" if column == "path" else 1
    table.to_parquet(path, index=False)
    with pytest.raises(DataError, match="holds other test images or labels"):
        read_study(study, sources, SETTINGS)


def test_a_category_of_one_class_has_no_interval_and_no_test(folder: Path, tmp_path: Path) -> None:
    study, sources = write_full_study(folder, VALUES)
    for method in "xy":
        write_run(folder, method, "b", {0: {"image_auroc": None}, 1: {"image_auroc": None}})
        for seed in (0, 1):
            path = score_file(sources.scores, method, "b", seed)
            table = pd.read_parquet(path)
            table[table["label"] == 0].to_parquet(path, index=False)
    report = read_study(study, sources, SETTINGS)
    assert report.evidence.flags == ()
    assert pick(report.evidence.intervals, metric="image_auroc", category="b")["low"].isna().all()
    assert pick(report.evidence.comparisons, test="delong", category="b")["p"].isna().all()
    assert "| b | – | – |" in text_of(report, study, sources, tmp_path)


def test_saved_scores_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("path,label\n")
    with pytest.raises(DataError, match=r"a\.csv"):
        load_saved_scores(tmp_path / "a.csv")


def test_what_a_method_differs_in_is_a_note(folder: Path, tmp_path: Path) -> None:
    study, sources = write_full_study(folder, VALUES)
    seeds = {c: {s: {"image_auroc": v} for s, v in enumerate(VALUES[c]["x"])} for c in VALUES}
    for category in VALUES:
        write_run(folder, "x", category, seeds[category], notes="not smoothed.")  # type: ignore[arg-type]
    text = text_of(read_study(study, sources, SETTINGS), study, sources, tmp_path / "one")
    assert "\n- x: not smoothed.\n" in text
    write_run(folder, "x", "b", seeds["b"], notes="smoothed")  # type: ignore[arg-type]
    text = text_of(read_study(study, sources, SETTINGS), study, sources, tmp_path / "two")
    assert "\n- x on a: not smoothed.\n- x on b: smoothed.\n" in text
