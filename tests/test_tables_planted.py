"""A study with everything that can go wrong at once: all of it is shown and flagged."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from run_files import (
    STUDY,
    scores_of,
    sources_of,
    write_full_study,
    write_run,
    write_scores,
)

from clflow.metrics.registry import METRICS
from clflow.report.results import failed_runs, score_file, without_failed
from clflow.report.settings import TabulateSettings
from clflow.report.tables import write_tables

SHOWN = ("image_auroc", "pixel_auroc")
SETTINGS = TabulateSettings(metrics=SHOWN, resamples=100)
PIXEL = dict.fromkeys((name for name in METRICS if METRICS[name].level == "pixel"), None)
CATEGORIES = ("tie", "nan", "constant", "all_good", "maskless")
ONE_CLASS = dict.fromkeys(("image_auroc", "image_ap", "image_f1_max", "image_recall"), None)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("planted")
    folder = root / "results/runs/small"
    sources = sources_of(folder)
    for category in CATEGORIES:
        for method, auroc in (("x", 0.9), ("y", 0.7)):
            write_run(folder, method, category, {0: {"image_auroc": auroc}})
            write_scores(sources.scores, method, category, 0, scores_of(auroc))
    plant_tie(folder)
    plant_scores(folder, "nan", [np.nan, *scores_of(0.7)[1:]], 0.7)
    plant_scores(folder, "constant", [1.0] * 30, 0.5)
    plant_all_good(folder)
    unmarked = {"test_good": 10, "test_anomalous": 20, "test_without_mask": 20}
    for method, auroc in (("x", 0.99), ("y", 0.6)):
        own: dict[str, float | None] = {"image_auroc": auroc, **PIXEL}
        write_run(folder, method, "maskless", {0: own}, counts=unmarked)
        write_scores(sources.scores, method, "maskless", 0, scores_of(auroc))
    study = STUDY.model_copy(
        update={"categories": CATEGORIES, "methods": ("x", "y"), "seeds": (0,)}
    )
    write_tables(study, sources, SETTINGS, root / "tables")
    return root / "tables"


def plant_tie(folder: Path) -> None:
    write_run(folder, "y", "tie", {0: {"image_auroc": 0.9}})
    write_scores(sources_of(folder).scores, "y", "tie", 0, scores_of(0.9))


def plant_scores(folder: Path, category: str, scores: list[float], auroc: float) -> None:
    write_run(folder, "y", category, {0: {"image_auroc": auroc}})
    write_scores(sources_of(folder).scores, "y", category, 0, scores)


def plant_all_good(folder: Path) -> None:
    counts = {"test_good": 10, "test_anomalous": 0, "test_without_mask": 0}
    for method in "xy":
        write_run(folder, method, "all_good", {0: {**ONE_CLASS, **PIXEL}}, counts=counts)
        path = score_file(sources_of(folder).scores, method, "all_good", 0)
        table = pd.read_parquet(path)
        table[table["label"] == 0].to_parquet(path, index=False)


def lines_of(path: Path) -> list[str]:
    return [re.sub(r" +", " ", line) for line in path.read_text().splitlines()]


def test_every_run_has_its_row_in_every_table(tables: Path) -> None:
    for name in ("results.csv", "intervals.csv"):
        table = pd.read_csv(tables / name, keep_default_na=False)
        kept = {tuple(place) for place in table[["category", "method"]].to_numpy()}
        assert {(category, method) for category in CATEGORIES for method in "xy"} <= kept
    tests = pd.read_csv(tables / "comparisons.csv", keep_default_na=False)
    assert set(tests.loc[tests["test"] == "delong", "category"]) == set(CATEGORIES)


def test_image_level(tables: Path) -> None:
    lines = lines_of(tables / "summary.md")
    start = lines.index("## Image AUROC")
    tie, nan, constant, all_good, maskless, mean = lines[start + 4 : start + 10]
    assert tie == "| tie | 0.900 | 0.900 |"
    assert nan == "| nan | 0.900 | 0.700 † |"
    assert re.fullmatch(
        r"\| constant \| (\*\*)?0\.900(\*\*)? \| (<ins>)?0\.500(</ins>)? † \|", constant
    )
    assert all_good == "| all_good | – | – |"
    assert maskless == "| maskless | **0.990** | <ins>0.600</ins> |"
    assert mean == "| mean of 4 of 5 categories | 0.922 | 0.675 † |"


def test_pixel_level(tables: Path) -> None:
    lines = lines_of(tables / "summary.md")
    start = lines.index("## Pixel AUROC")
    assert lines[start + 7 : start + 10] == [
        "| all_good | – | – |",
        "| maskless | – | – |",
        "| mean of 3 of 5 categories | 0.500 | 0.500 † |",
    ]


def test_notes_name_each_of_them(tables: Path) -> None:
    text = "\n".join(lines_of(tables / "summary.md"))
    for note in (
        "- † y on nan, seed 0: scores that are NaN or infinite.",
        "- † y on constant, seed 0: the same score for every test image.",
        "- maskless: 20 of 20 anomalous test images have no marked pixel and are left out",
        "- Image AUROC is undefined for at least one method and seed on all_good;",
        "- Pixel AUROC is undefined for at least one method and seed on all_good, maskless;",
    ):
        assert note in text


def test_tests_that_cannot_be_made_say_why(tables: Path) -> None:
    tests = pd.read_csv(tables / "comparisons.csv", keep_default_na=False)
    delong = tests[tests["test"] == "delong"].set_index("category")
    for category in ("nan", "all_good"):
        assert delong.loc[category, "p"] == ""
        assert delong.loc[category, "note"].startswith("needs a score of both methods")
    assert not delong.loc["tie", "significant"]
    assert delong.loc["tie", "better"] == ""


def test_a_failed_seed_is_flagged_and_moves_no_other_value(tmp_path: Path) -> None:
    folder = tmp_path / "results/runs/small"
    column = {"x": [0.8, 0.85, 0.9], "y": [0.9, 0.95, 0.98]}
    study, sources = write_full_study(folder, {"a": column, "b": column})
    write_tables(study, sources, SETTINGS, tmp_path / "whole")
    score_file(sources.scores, "y", "a", 1).unlink()
    own: dict[int, dict[str, float | None]] = {s: {"image_auroc": column["y"][s]} for s in (0, 2)}
    reason = "training diverged at step 12: loss nan."
    write_run(folder, "y", "a", {**own, 1: dict.fromkeys(METRICS)}, failures={"1": reason})
    write_tables(study, sources, SETTINGS, tmp_path / "tables")
    text = "\n".join(lines_of(tmp_path / "tables/summary.md"))
    assert f"- † y on a, seed 1: {reason}\n" in text
    assert "| a | 0.850 ± 0.050 | – † |" in text
    assert "| mean of 1 of 2 categories | 0.850 ± 0.050 | 0.943 ± 0.040 † |" in text
    means = "Image AUROC 0.940 ± 0.057, Pixel AUROC 0.500 ± 0.000"
    assert f"- † y on a, seeds 0, 2 alone: {means}. Its cells stay empty" in text
    whole, table = (pd.read_csv(tmp_path / name / "results.csv") for name in ("whole", "tables"))
    failed = (table["category"] == "a") & (table["method"] == "y") & (table["seed"] == 1)
    assert table.loc[failed, "value"].isna().all()
    pd.testing.assert_frame_equal(table[~failed], whole[~failed])
    assert failed_runs(table) == [("a", "y", 1)]
    pd.testing.assert_frame_equal(without_failed(table), whole[~failed])
