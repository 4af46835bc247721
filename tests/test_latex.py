"""Every kind of LaTeX table compiles with the packages it names, none wider than the text."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from measured import write_cost, write_selection_bias
from run_files import STUDY, scores_of, sources_of, write_full_study, write_run, write_scores

from clflow.metrics.registry import METRICS
from clflow.report import latex
from clflow.report.diagnosis import Places, read_diagnoses
from clflow.report.settings import TabulateSettings
from clflow.report.tables import Sources, read_study
from clflow.study.settings import StudySettings

PDFLATEX = shutil.which("pdflatex")
needs_pdflatex = pytest.mark.skipif(PDFLATEX is None, reason="pdflatex is not installed")
SETTINGS = TabulateSettings(metrics=("image_auroc", "pixel_auroc"), resamples=100)
HOSTILE = "50%_&{x}#$~^\\<|>[a]*"
UNICODE = "± − – ≤ α × → † ‡ é ß °"
CAPTION = re.compile(r"^\\caption\{(.*)\}$", re.MULTILINE)


def compile_tables(folder: Path, text: str) -> str:
    """Compile the text with what its first line says it needs; return the log."""
    assert PDFLATEX is not None
    needed = re.findall(r"\\usepackage\{\w+\}", text.splitlines()[0])
    source = "\n".join(
        [r"\documentclass{article}", *needed, r"\begin{document}", text, r"\end{document}"]
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tables.tex").write_text(source, encoding="utf-8")
    command = [PDFLATEX, "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    return (folder / "tables.log").read_text(encoding="latin-1")


def assert_sound(log: str) -> None:
    """Nothing is missing, beyond the margin or higher than a page."""
    assert "Output written on tables.pdf" in log
    for complaint in ("Overfull", "Missing character", "multiply defined", "Float too large"):
        assert complaint not in log


def published_study(folder: Path, methods: tuple[str, ...]) -> tuple[StudySettings, Sources]:
    """Write a study of categories with published values, one seed of one method failed."""
    results = folder / "results/runs/small"
    sources, categories = sources_of(results), ("bottle", "metal_nut")
    for category in categories:
        for place, method in enumerate(methods):
            seeds: dict[int, dict[str, float | None]] = {}
            for seed, value in enumerate((0.9, 0.95)):
                write_scores(sources.scores, method, category, seed, scores_of(value))
                seeds[seed] = {"image_auroc": value}
            failures = {}
            if not place and category == "bottle":
                seeds[1], failures = dict.fromkeys(METRICS), {"1": "loss nan"}
            write_run(results, method, category, seeds, failures=failures)
    return STUDY.model_copy(update={"categories": categories, "methods": methods}), sources


def texts_of(folder: Path, methods: tuple[str, ...]) -> str:
    """Return all that a saved study holds: the summary, cost and selection bias."""
    study, sources = published_study(folder, methods)
    report = read_study(study, sources, SETTINGS)
    places = Places(folder / "cost/small", folder / "selection_bias/small")
    for method in methods:
        write_cost(places.cost, method)
        curve: list[dict[str, float | None]] = [
            {"image_auroc": 0.9, "pixel_auroc": None},
            {"image_auroc": 0.8, "pixel_auroc": 1.0},
        ]
        write_selection_bias(places.selection_bias, method, "bottle", [curve, curve])
    diagnoses = read_diagnoses(study, places, report.results, 3)
    assert [each.name for each in diagnoses] == ["cost", "selection_bias"]
    return "\n".join(
        [latex.render_latex(report), *(latex.diagnosis_text(d, "small") for d in diagnoses)]
    )


@needs_pdflatex
@pytest.mark.parametrize("count", [2, 24])
def test_every_kind_of_table_compiles_within_the_page(tmp_path: Path, count: int) -> None:
    methods = tuple(f"anomalib.patch_core.{index}" for index in range(count))
    text = texts_of(tmp_path, methods)
    captions = CAPTION.findall(text)
    kinds = ("Image AUROC on", "Pixel AUROC on", "Image AUROC, 95", "beside published values")
    for kind in (*kinds, "Cost", "Selection bias"):
        assert any(kind in caption for caption in captions)
    assert_sound(compile_tables(tmp_path / "tex", text))


@needs_pdflatex
def test_hostile_names_compile(tmp_path: Path) -> None:
    folder = tmp_path / "results/runs/small"
    category = HOSTILE.replace("\\", "_")
    values = {category: {"[a]": [0.6], "b\\": [0.7]}, "[b]": {"[a]": [0.6], "b\\": [0.7]}}
    report = read_study(*write_full_study(folder, values), SETTINGS)
    text = latex.render_latex(replace(report, study=HOSTILE, dataset=f"{HOSTILE} {UNICODE}"))
    notes = latex.items([f"{HOSTILE}, a/{'long_name/' * 30}", f"[{UNICODE}]"])
    assert_sound(compile_tables(tmp_path / "tex", f"{text}\n{notes}"))


def rows_of(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.endswith(r" \\")]
    return [line.removesuffix(r" \\").split(" & ") for line in lines]


def tabulars_of(text: str) -> list[list[list[str]]]:
    """Return the cells of each tabular."""
    return [rows_of(part) for part in text.split(r"\end{tabular}")[:-1]]


def test_columns_without_room_go_on_below_and_in_further_tables() -> None:
    columns = ["Category", "Published", *(f"method-{index:02d}-of-many" for index in range(24))]
    body = [[f"{row}/{column}" for column in columns] for row in range(9)]
    text = latex.environment("A caption", "tab:x", columns, body, last_apart=False)
    tabulars, table = tabulars_of(text), [columns, *body]
    for rows in tabulars:
        assert [row[:2] for row in rows] == [row[:2] for row in table]
        assert len(rows[0]) > 2
    for line, row in enumerate(table):
        assert [cell for rows in tabulars for cell in rows[line][2:]] == row[2:]
    first, *others = CAPTION.findall(text)
    assert first == "A caption"
    assert set(others) == {r"Table~\ref{tab:x}, continued."}
    labels = re.findall(r"\\label\{(.*)\}", text)
    assert labels == ["tab:x", *(f"tab:x-{number}" for number in range(2, 2 + len(others)))]
    assert len(labels) < len(tabulars)


def test_a_cell_too_wide_for_any_table_stands_alone() -> None:
    columns = ["Category", "x", "y"]
    text = latex.environment("A caption", "tab:x", columns, [["a", "x" * 200, "y"]])
    assert [rows[1] for rows in tabulars_of(text)] == [["a", "x" * 200], ["a", "y"]]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_table_with_room_is_one(count: int) -> None:
    cells = [["a", *[r"\textbf{0.900 $\pm$ 0.001}"] * count]]
    columns = ["Category", *(f"method{index}" for index in range(count))]
    assert len(tabulars_of(latex.environment("A caption", "tab:x", columns, cells))) == 1
