"""Cost and selection bias beside a study's tables: only where they were measured."""

import io
import re
from pathlib import Path

import pandas as pd
import pytest
from measured import write_cost, write_selection_bias
from rich.console import Console
from run_files import sources_of, write_full_study, write_run

from clflow.errors import DataError
from clflow.metrics.registry import METRICS
from clflow.report import latex, markdown
from clflow.report.diagnosis import Diagnosis, Places, read_diagnoses
from clflow.report.results import load_results
from clflow.report.settings import TabulateSettings
from clflow.report.tables import write_tables
from clflow.report.terminal import print_results
from clflow.study.settings import StudySettings

SETTINGS = TabulateSettings(metrics=("image_auroc",), resamples=100)
VALUES = {"a": {"x": [0.6, 0.7], "y": [0.9, 0.9]}, "b": {"x": [0.8, 0.8], "y": [0.85, 0.9]}}


class Study:
    """A finished study, and the folders of the two stages."""

    def __init__(self, root: Path) -> None:
        folder = root / "results/runs/small"
        self.settings: StudySettings = write_full_study(folder, VALUES)[0]
        self.places = Places(root / "cost/small", root / "selection_bias/small")
        self.tables = root / "tables"
        self.folder = folder
        self.tabulate()

    def tabulate(self) -> None:
        write_tables(self.settings, sources_of(self.folder), SETTINGS, self.tables)
        self.results: pd.DataFrame = load_results(self.tables / "results.csv")

    def diagnoses(self) -> list[Diagnosis]:
        return read_diagnoses(self.settings, self.places, self.results, 3)

    def printed(self) -> str:
        console = Console(file=io.StringIO(), width=300)
        print_results(console, self.settings, self.tables, SETTINGS, self.places)
        assert isinstance(console.file, io.StringIO)
        return re.sub(r" +", " ", console.file.getvalue())


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


def lines_of(diagnosis: Diagnosis) -> list[str]:
    return re.sub(r" +", " ", markdown.diagnosis_text(diagnosis)).splitlines()


def image(*values: float | None) -> list[dict[str, float | None]]:
    return [{"image_auroc": value} for value in values]


def test_what_was_not_measured_is_not_shown(study: Study) -> None:
    assert study.diagnoses() == []
    assert "Cost" not in study.printed()
    write_cost(study.places.cost, "another")
    write_selection_bias(study.places.selection_bias, "x", "another", [image(0.5)])
    assert study.diagnoses() == []


def test_cost_has_a_row_per_method_and_says_where_it_was_measured(study: Study) -> None:
    write_cost(study.places.cost, "y")
    write_cost(study.places.cost, "x", batches=(1,))
    (cost,) = study.diagnoses()
    assert cost.name == "cost"
    assert cost.values["method"].tolist() == ["x", "y"]
    lines = lines_of(cost)
    start = "| 3.40 | 0.14 | 0.00 | 1.0 | 1.50 | 78.0 | 1.50 | 1.50 | 12.3 (15.0), 2.50 × |"
    assert f"| x {start} – |" in lines
    assert f"| y {start} 12.3 (15.0), 2.50 × |" in lines
    assert lines[-1] == "- x, y: measured on bolt (20 training images), A processor, 2 threads."


def test_the_gap_is_labelled_as_a_diagnosis_from_test_labels(study: Study) -> None:
    write_selection_bias(study.places.selection_bias, "x", "a", [image(0.7, 0.6), image(0.7, 0.7)])
    (selection_bias,) = study.diagnoses()
    lines = lines_of(selection_bias)
    assert lines[0] == "## Selection bias"
    assert lines[2].startswith("A diagnosis from the test labels, no result:")
    assert lines[-1] == "| a | x | 0.650 → 0.700 (+0.050) |"


def test_the_mean_of_gaps_is_over_methods_that_have_all_categories(study: Study) -> None:
    folder = study.places.selection_bias
    write_selection_bias(folder, "x", "a", [image(0.7, 0.6), image(0.7, 0.7)])
    write_selection_bias(folder, "x", "b", [image(0.9, 0.8), image(0.9, 0.8)])
    write_selection_bias(folder, "y", "a", [image(0.9), image(0.9)])
    (selection_bias,) = study.diagnoses()
    assert lines_of(selection_bias)[-4:] == [
        "| a | x | 0.650 → 0.700 (+0.050) |",
        "| a | y | 0.900 → 0.900 (+0.000) |",
        "| b | x | 0.800 → 0.900 (+0.100) |",
        "| mean of 2 categories | x | 0.725 → 0.800 (+0.075) |",
    ]


def test_a_gap_of_another_model_is_flagged(study: Study) -> None:
    write_selection_bias(study.places.selection_bias, "x", "a", [image(0.7, 0.61), image(0.7, 0.7)])
    (selection_bias,) = study.diagnoses()
    lines = lines_of(selection_bias)
    assert "| a | x | 0.655 → 0.700 (+0.045) † |" in lines
    assert lines[-1].startswith("- † the value after the last step is not that of this study's")


def test_a_failed_seed_is_named_and_makes_no_gap_stale(study: Study) -> None:
    seeds: dict[int, dict[str, float | None]] = {0: {"image_auroc": 0.6}, 1: dict.fromkeys(METRICS)}
    write_run(study.folder, "x", "a", seeds, failures={"1": "it diverged"})
    study.tabulate()
    write_selection_bias(study.places.selection_bias, "x", "a", [image(0.7, 0.6)])
    (selection_bias,) = study.diagnoses()
    assert lines_of(selection_bias)[-3:] == [
        "| a | x | 0.600 → 0.700 (+0.100) |",
        "",
        "- x on a: without seed 1, whose run failed.",
    ]
    assert "\n† x on a, seed 1: no result\n" in study.printed()


def test_an_undefined_gap_is_a_dash_and_makes_the_mean_one(study: Study) -> None:
    folder = study.places.selection_bias
    write_selection_bias(folder, "x", "a", [image(None, None), image(0.7, 0.7)])
    write_selection_bias(folder, "x", "b", [image(0.9, 0.8), image(0.9, 0.8)])
    (selection_bias,) = study.diagnoses()
    assert "| a | x | – |" in lines_of(selection_bias)
    assert "| mean of 2 categories | x | – |" in lines_of(selection_bias)


def test_both_are_printed_and_set_in_latex(study: Study) -> None:
    write_cost(study.places.cost, "x")
    write_selection_bias(study.places.selection_bias, "x", "a", [image(0.7, 0.6), image(0.7, 0.7)])
    text = study.printed()
    assert "│ x │ 3.40 │" in text
    assert "│ a │ x │ 0.650 → 0.700 (+0.050) │" in text
    cost, selection_bias = (latex.diagnosis_text(each, "small") for each in study.diagnoses())
    assert r"a & x & 0.650 $\to$ 0.700 (+0.050) \\" in selection_bias
    assert r"\label{tab:small-selection-bias}" in selection_bias
    assert r"12.3 (15.0), 2.50 $\times$ \\" in cost
    rows = [line for line in cost.splitlines() if line.endswith(r" \\")]
    headers, values = rows[::2], rows[1::2]
    assert all(header.startswith("Method &") for header in headers)
    assert [row.count("&") for row in headers] == [row.count("&") for row in values]
    assert sum(row.count("&") for row in values) == 10
    assert (cost + selection_bias).isascii()


def test_a_malformed_file_is_told(study: Study) -> None:
    write_cost(study.places.cost, "x").write_text("{}")
    with pytest.raises(DataError, match=r"x\.json is malformed.*dvc repro --force cost"):
        study.diagnoses()
