"""The coverage of a study: what is drawn and written, and what is left out of it."""

import xml.etree.ElementTree as ElementTree
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_files import GOOD, write_full_study, write_run
from score_folder import random_scores, write_scores

from clflow.metrics.conformal import promise
from clflow.report.coverage import alarm_curve, write_coverage
from clflow.report.curves import MethodScores, read_method
from clflow.report.settings import TabulateSettings
from clflow.report.tables import read_study
from clflow.statistics.proportion import proportion_interval

SETTINGS = TabulateSettings(resamples=100)
SCORES = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=20)


@settings(max_examples=50, deadline=None)
@given(SCORES, SCORES, st.sampled_from([0.11, 0.26, 0.51, 0.74]))
def test_the_curve_is_what_each_promise_gives(
    held_out: list[float], good: list[float], rate: float
) -> None:
    curve = alarm_curve(np.array(held_out), np.array(good))
    assert (curve.fpr[0], curve.hit[0], curve.fpr[-1], curve.hit[-1]) == (0, 0, 1, 1)
    assert (np.diff(curve.fpr) >= 0).all()
    assert (np.diff(curve.hit) >= 0).all()
    found = promise(held_out, rate)
    reached = curve.hit[curve.fpr <= max(found.rate, rate) + 1e-12].max()
    assert reached == pytest.approx(np.mean(np.array(good) > found.threshold))


def test_the_mean_curve_of_all_orders_is_below_the_diagonal_and_meets_it() -> None:
    ranks = np.arange(7.0)
    areas = []
    for drawn in combinations(ranks, 4):
        good = np.setdiff1d(ranks, drawn)
        curve = alarm_curve(np.array(drawn), good)
        areas.append([curve.hit[curve.fpr <= k / 5 + 1e-9].max() for k in range(1, 6)])
    assert np.mean(areas, axis=0) == pytest.approx(np.arange(1, 6) / 5)


def methods(root: Path, seeds: tuple[int, ...] = (0, 1)) -> list[MethodScores]:
    """Return scores of two methods, the second of which has none."""
    for seed in seeds:
        write_scores(root / "x", seed, random_scores(seed))
    return [read_method(root / name, name, place, seeds) for place, name in enumerate("xy")]


def coverage_of(root: Path, promised: float | None = 0.05) -> Path:
    """Write the coverage of two categories, where `y` was not made on the first."""
    runs = root / "results/runs/small"
    study, sources = write_full_study(runs, {c: {m: [0.7, 0.7] for m in "xy"} for c in "ab"})
    for category, method, fpr in (("a", "x", 0.1), ("a", "y", None), ("b", "x", 0), ("b", "y", 1)):
        seed = {"image_auroc": 0.7, "promised_fpr": promised, "image_fpr": fpr}
        write_run(runs, method, category, {0: seed, 1: seed})
    report = read_study(study, sources, SETTINGS)
    write_coverage(report, [methods(root / "scores"), methods(root / "scores")], root / "out")
    return root / "out"


def test_points_are_the_rates_of_the_tables(tmp_path: Path) -> None:
    table = pd.read_csv(coverage_of(tmp_path) / "coverage.csv")
    assert table[["category", "method"]].agg("".join, axis=1).tolist() == ["ax", "bx", "by"]
    assert table["promised"].tolist() == [0.05] * 3
    assert table["found"].tolist() == [0.1, 0, 1]
    interval = proportion_interval(1, GOOD)
    assert table.iloc[0][["low", "high"]].tolist() == pytest.approx([interval.low, interval.high])


def test_the_figure_is_a_column_wide_names_methods_and_repeats(tmp_path: Path) -> None:
    first, second = coverage_of(tmp_path / "a"), coverage_of(tmp_path / "b")
    for path in first.iterdir():
        assert (second / path.name).read_bytes() == path.read_bytes()
    text = " ".join(ElementTree.parse(first / "coverage.svg").getroot().itertext())
    assert "promised rate" in text
    assert {"x", "y"} <= set(text.split())
    picture = cv2.imread(str(first / "coverage.png"), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    assert picture.shape[1] == 990
    for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
        assert (edge == 255).all()


def test_results_of_before_promised_nothing(tmp_path: Path) -> None:
    out = coverage_of(tmp_path, promised=None)
    assert pd.read_csv(out / "coverage.csv").empty
    assert "nothing was promised" in (out / "coverage.svg").read_text()


def test_a_method_without_scores_draws_nothing(tmp_path: Path) -> None:
    (tmp_path / "scores").mkdir()
    study, sources = write_full_study(tmp_path / "results/runs/small", {"a": {"x": [0.7]}})
    absent = read_method(tmp_path / "none", "x", 0, (0,))
    found = write_coverage(read_study(study, sources, SETTINGS), [[absent]], tmp_path / "out")
    assert found.curves == {"x": ()}
