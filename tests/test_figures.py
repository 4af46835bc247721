"""The figures stage: files, what they say, and what they say where there is nothing to draw."""

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from score_folder import random_scores, write_curves, write_scores

from clflow.errors import DataError
from clflow.metrics.conformal import promise
from clflow.report.curves import read_method
from clflow.report.figures import CategoryFigures, score_panels, write_figures
from clflow.report.settings import FiguresSettings
from clflow.report.style import line_look

SEEDS = (0, 1)
BOTH = ("svg", "png")


def subject(
    root: Path, methods: Sequence[str] = ("bad", "good"), rate: float = 0.05
) -> CategoryFigures:
    read = [read_method(root / name, name, place, SEEDS) for place, name in enumerate(methods)]
    return CategoryFigures("bolt", SEEDS, tuple(read), rate)


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """Two methods of two seeds with scores and curves."""
    for gap, method in enumerate(("bad", "good")):
        for seed in SEEDS:
            write_scores(tmp_path / method, seed, random_scores(seed, gap=2.0 * gap))
            write_curves(tmp_path / method, seed)
    return tmp_path


def text_of(path: Path) -> str:
    return " ".join(ElementTree.parse(path).getroot().itertext())


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("formats", [BOTH, ("svg",), ("png",)])
def test_every_figure_is_written_in_every_format(
    scores: Path, tmp_path: Path, formats: tuple[str, ...]
) -> None:
    assert write_figures(subject(scores), tmp_path / "out", formats) == ("roc", "scores", "pro")
    assert names(tmp_path / "out") == {
        f"{n}.{f}" for n in ("roc", "scores", "pro") for f in formats
    }


def test_figures_are_as_wide_as_a_column_and_nothing_is_cut_off(
    scores: Path, tmp_path: Path
) -> None:
    long = "anomalib.supersimplenet"
    (scores / "good").rename(scores / long)
    (scores / long / "seed-1.parquet").unlink()
    write_figures(subject(scores, ("bad", long)), tmp_path / "out", BOTH)
    for name in ("roc", "scores", "pro"):
        assert ElementTree.parse(tmp_path / f"out/{name}.svg").getroot().get("width") == "237.6pt"
        picture = cv2.imread(str(tmp_path / f"out/{name}.png"), cv2.IMREAD_GRAYSCALE)
        assert picture is not None
        assert picture.shape[1] == 990
        for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
            assert (edge == 255).all()


def test_same_scores_give_the_same_bytes_whatever_the_users_style(
    scores: Path, tmp_path: Path
) -> None:
    write_figures(subject(scores), tmp_path / "one", BOTH)
    with mpl.rc_context({"font.size": 20, "lines.linewidth": 5, "svg.hashsalt": None}):
        write_figures(subject(scores), tmp_path / "two", BOTH)
        assert mpl.rcParams["font.size"] == 20
    for path in (tmp_path / "one").iterdir():
        assert (tmp_path / "two" / path.name).read_bytes() == path.read_bytes()


def test_no_global_state_of_pyplot_is_made() -> None:
    code = "import sys, clflow.report.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_methods_are_told_apart_by_colour_or_dashes() -> None:
    looks = [tuple(line_look(place).values()) for place in range(28)]
    assert len(set(looks)) == 28


def test_curves_name_the_methods_with_mean_and_deviation(scores: Path, tmp_path: Path) -> None:
    write_figures(subject(scores), tmp_path / "out", ("svg",))
    areas = []
    for seed in SEEDS:
        test = random_scores(seed, gap=2.0)[lambda table: table["split"] == "test"]
        good, bad = (test.loc[test["label"] == label, "score"].to_numpy() for label in (0, 1))
        areas.append(np.mean(bad[:, None] > good))
    text = text_of(tmp_path / "out/roc.svg")
    assert f"good {np.mean(areas):.3f} ± {np.std(areas, ddof=1):.3f}" in text
    assert "mean of 2 seeds, each thin" in text


def test_threshold_is_that_of_held_out_good_scores(scores: Path) -> None:
    panel = score_panels(subject(scores).methods, SEEDS, 0.25)[1]
    table = random_scores(0, gap=2.0)
    held_out = table.loc[table["split"] == "validation", "score"]
    assert panel.threshold == promise(held_out, 0.25).threshold
    test = table[(table["split"] == "test") & (table["score"] > panel.threshold)]
    flagged = [(test["label"] == label).sum() for label in (0, 1)]
    assert f"{flagged[0]} of 12 good, {flagged[1]} of 20 anomalous" in panel.remark
    assert panel.title == "good, seed 0"


def test_scores_of_before_there_were_curves_draw_the_rest(scores: Path, tmp_path: Path) -> None:
    for path in scores.rglob("curves-*"):
        path.unlink()
    assert write_figures(subject(scores), tmp_path / "out", BOTH) == ("roc", "scores")


def test_a_stale_figure_goes_away(scores: Path, tmp_path: Path) -> None:
    write_figures(subject(scores), tmp_path / "out", BOTH)
    write_figures(subject(scores), tmp_path / "out", ("png",))
    assert not list((tmp_path / "out").glob("*.svg"))


def kept(split: str, label: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Return the edit that drops all other images of a split."""
    return lambda table: table[(table["split"] != split) | (table["label"] == label)]


def constant(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(score=np.float32(0.25))


@pytest.mark.parametrize(
    ("edit", "roc", "histogram"),
    [
        pytest.param(kept("test", 0), "good test images only", "0 anomalous", id="no-anomalous"),
        pytest.param(kept("test", 1), "anomalous test images only", "of 0 good", id="no-good"),
        pytest.param(constant, "0.500 ± 0.000 (all scores equal)", "equal: 0.25", id="constant"),
        pytest.param(
            lambda table: table.assign(score=np.float32(np.nan)),
            "scores not finite",
            "scores not finite",
            id="not-a-number",
        ),
        pytest.param(
            lambda table: table[table["split"] != "test"],
            "no test images",
            "no test images",
            id="no-test-images",
        ),
        pytest.param(
            kept("validation", 1),
            "good 0.",
            "no held-out image to set a threshold",
            id="no-held-out",
        ),
    ],
)
def test_what_cannot_be_drawn_is_said(
    scores: Path,
    tmp_path: Path,
    edit: Callable[[pd.DataFrame], pd.DataFrame],
    roc: str,
    histogram: str,
) -> None:
    for seed in SEEDS:
        write_scores(scores / "good", seed, edit(random_scores(seed)))
    write_figures(subject(scores), tmp_path / "out", ("svg",))
    assert roc in text_of(tmp_path / "out/roc.svg")
    assert histogram in text_of(tmp_path / "out/scores.svg")


def test_a_chart_without_a_curve_says_so(scores: Path, tmp_path: Path) -> None:
    for method in ("bad", "good"):
        for seed in SEEDS:
            write_scores(scores / method, seed, kept("test", 0)(random_scores(seed)))
            write_curves(scores / method, seed, (), ())
    write_figures(subject(scores), tmp_path / "out", ("svg",))
    assert "ROC is not defined" in text_of(tmp_path / "out/roc.svg")
    pro = text_of(tmp_path / "out/pro.svg")
    assert "PRO is not defined" in pro
    assert "good: not defined" in pro


def test_seeds_that_are_missing_are_counted(scores: Path, tmp_path: Path) -> None:
    for path in (scores / "good").glob("*seed-1.parquet"):
        path.unlink()
    write_figures(subject(scores, ("good", "absent")), tmp_path / "out", ("svg",))
    for name in ("roc", "pro"):
        assert "(1 of 2 seeds)" in text_of(tmp_path / f"out/{name}.svg")
    assert "absent: no scores" in text_of(tmp_path / "out/roc.svg")
    assert "absent: no curves" in text_of(tmp_path / "out/pro.svg")
    assert "no scores" in text_of(tmp_path / "out/scores.svg")


def test_a_method_is_named_as_it_is(scores: Path, tmp_path: Path) -> None:
    (scores / "good").rename(scores / "my_$method$")
    write_figures(subject(scores, ["my_$method$"]), tmp_path / "out", ("svg",))
    assert "my_$method$, seed 0" in text_of(tmp_path / "out/scores.svg")


@pytest.mark.parametrize(
    ("fpr", "pro", "name"),
    [
        ((0.0, 0.6, 0.5, 1.0), (0.0, 0.1, 0.2, 1.0), "fpr"),
        ((0.0, 0.5, 1.0), (0.0, 0.5, 0.9), "pro"),
        ((0.0, float("nan"), 1.0), (0.0, 0.5, 1.0), "fpr"),
    ],
)
def test_curves_that_are_none_are_refused(
    scores: Path, fpr: tuple[float, ...], pro: tuple[float, ...], name: str
) -> None:
    write_curves(scores / "good", 1, fpr, pro)
    with pytest.raises(DataError, match=rf"curves-seed-1\.parquet: {name} does not rise from 0"):
        subject(scores)


@pytest.mark.parametrize("column", ["split", "label", "score"])
def test_scores_that_are_malformed_are_refused(scores: Path, column: str) -> None:
    write_scores(scores / "good", 1, random_scores(1).drop(columns=column))
    with pytest.raises(DataError, match=r"cannot read .*seed-1\.parquet.*run `dvc repro`"):
        subject(scores)


def test_labels_are_checked(scores: Path) -> None:
    write_scores(scores / "good", 1, random_scores(1).assign(label=2))
    with pytest.raises(DataError, match=r"seed-1\.parquet: unknown labels \[2\]"):
        subject(scores)


@pytest.mark.parametrize("formats", [[], ["svg", "svg"], ["pdf"]])
def test_settings_refuse_other_formats(formats: list[str]) -> None:
    with pytest.raises(ValidationError):
        FiguresSettings.model_validate({"formats": formats})
