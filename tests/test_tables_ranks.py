"""Mean ranks and critical-difference diagrams: when they are drawn, and what they join."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import cv2
import pandas as pd
import pytest
from run_files import write_full_study

from clflow.report.ranks import RANKS, Diagram, draw, write_ranks
from clflow.report.settings import TabulateSettings
from clflow.report.tables import read_study

SETTINGS = TabulateSettings(metrics=("image_auroc", "threshold"), resamples=100)


def ranks_of(root: Path, categories: int, methods: str) -> Path:
    """Write the ranks of methods of which each is better than the one before, everywhere."""
    values = {
        f"c{c}": {m: [0.6 + 0.1 * i] for i, m in enumerate(methods)} for c in range(categories)
    }
    study, sources = write_full_study(root / "results/runs/small", values)
    write_ranks(read_study(study, sources, SETTINGS), root / "ranks")
    return root / "ranks"


@pytest.mark.parametrize(
    ("categories", "methods", "drawn"),
    [
        pytest.param(5, "xyz", True, id="enough"),
        pytest.param(4, "xyz", False, id="four categories"),
        pytest.param(5, "xy", False, id="two methods"),
        pytest.param(1, "x", False, id="one of each"),
    ],
)
def test_a_diagram_needs_three_methods_and_five_categories(
    tmp_path: Path, categories: int, methods: str, drawn: bool
) -> None:
    folder = ranks_of(tmp_path, categories, methods)
    figures = {"image_auroc.png", "image_auroc.svg"} if drawn else set()
    assert {path.name for path in folder.iterdir()} == {RANKS} | figures
    table = pd.read_csv(folder / RANKS)
    assert table["method"].tolist() == list(methods)
    assert table["mean_rank"].tolist() == list(range(len(methods), 0, -1))
    assert table["critical_difference"].notna().all() == drawn


def test_the_same_study_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (ranks_of(tmp_path / name, 5, "xyz") for name in "ab")
    for path in first.iterdir():
        assert (second / path.name).read_bytes() == path.read_bytes()


def diagram(ranks: tuple[float, ...], width: float, p: float = 0.001) -> Diagram:
    methods = tuple(f"m{i}" for i in range(len(ranks)))
    return Diagram("AUROC", methods, ranks, width, p, 0.05)


@pytest.mark.parametrize(
    ("ranks", "width", "p", "groups"),
    [
        pytest.param((1, 2, 3), 1.5, 0.001, [(0, 1), (1, 2)], id="a chain"),
        pytest.param((1, 2, 3), 0.9, 0.001, [], id="all differ"),
        pytest.param((1, 2, 3), 2.5, 0.001, [(0, 2)], id="none differ"),
        pytest.param((1, 2, 3), 1.0, 0.001, [], id="the critical difference itself differs"),
        pytest.param((3, 1, 2), 1.5, 0.001, [(0, 1), (1, 2)], id="in any order"),
        pytest.param((1, 2, 3), 0.9, 0.2, [(0, 2)], id="Friedman finds nothing"),
        pytest.param((1, 1.2, 3, 3.1), 1.0, 0.001, [(0, 1), (2, 3)], id="two pairs"),
    ],
)
def test_bars_join_what_is_not_told_apart(
    ranks: tuple[float, ...], width: float, p: float, groups: list[tuple[int, int]]
) -> None:
    assert diagram(ranks, width, p).groups == groups


def test_the_picture_names_every_method_with_its_rank(tmp_path: Path) -> None:
    draw(diagram((1.25, 2.5, 2.25), 1.1), tmp_path / "d")
    text = "".join(ElementTree.parse(tmp_path / "d.svg").getroot().itertext())
    for label in ("m0 (1.25)", "m1 (2.50)", "m2 (2.25)", "critical difference 1.10"):
        assert label in text
    picture = cv2.imread(str(tmp_path / "d.png"), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    assert picture.min() == 0
    # nothing is cut off: the border is blank
    for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
        assert (edge == 255).all()
