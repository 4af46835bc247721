"""Published values: kept with their provenance, put beside ours, unverified ones marked."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError
from run_files import STUDY, folders, scores_of, sources_of, write_run, write_scores

from clflow.errors import DataError
from clflow.report import literature
from clflow.report.evidence import Report
from clflow.report.literature import SOURCES, load_published, values_of
from clflow.report.remarks import SHOWN_CATEGORIES
from clflow.report.settings import TabulateSettings
from clflow.report.tables import Sources, read_study, write_tables
from clflow.study.settings import StudySettings

METRICS = ("image_auroc", "pixel_auroc", "aupro_30")
SETTINGS = TabulateSettings(metrics=METRICS, resamples=100)
SETUPS: dict[str, dict[str, Any]] = {
    "x": {"backbone": "efficientnet_lite0", "image_size": 256},
    "family.y": {"backbone": "wide_resnet50_2", "image_size": 224},
}
ALL_MVTEC = sorted(literature.categories_of("mvtec_ad"))


def write_study(
    folder: Path,
    categories: list[str],
    dataset: str = "mvtec_ad",
    setups: Mapping[str, Any] = SETUPS,
    **changes: Any,
) -> tuple[StudySettings, Sources]:
    """Write two methods with an image AUROC of 0.9, and 0.5 of every other metric."""
    results = folder / "results/runs/small"
    sources = sources_of(results)
    for category in categories:
        for method in ("x", "family.y"):
            own = {"dataset": dataset, "setup": setups.get(method, {})}
            write_run(results, method, category, {0: {"image_auroc": 0.9}}, **own)
            write_scores(sources.scores, method, category, 0, scores_of(0.9))
    fields = {"categories": folders(*categories, dataset=dataset), "dataset": dataset}
    fields |= {"methods": ("x", "family.y"), "seeds": (0,)}
    return STUDY.model_copy(update=fields | changes), sources


def report_of(folder: Path, categories: list[str], **changes: Any) -> Report:
    return read_study(*write_study(folder, categories, **changes), SETTINGS)


def texts_of(folder: Path, categories: list[str], **changes: Any) -> tuple[str, str]:
    study, sources = write_study(folder, categories, **changes)
    write_tables(study, sources, SETTINGS, folder / "tables")
    markdown, latex = ((folder / f"tables/summary.{kind}").read_text() for kind in ("md", "tex"))
    return re.sub(r" +", " ", markdown), latex


def pick(table: pd.DataFrame, **values: str) -> pd.DataFrame:
    for column, value in values.items():
        table = table[table[column] == value]
    return table


def test_every_published_value_says_where_it_is_from() -> None:
    table = load_published()
    assert list(table.columns) == [
        "paper",
        "method",
        "dataset",
        "category",
        "metric",
        "value",
        "source",
        "seen_verbatim",
    ]
    assert (table != "").all(axis=None)
    seen = table["seen_verbatim"].str.split().str[0].str.strip("()")
    assert set(seen) == {"yes", "no", "secondary", "computed"}
    assert not table.duplicated(["paper", "method", "dataset", "category", "metric", "value"]).any()


def test_rates_are_percentages_so_that_none_is_taken_for_a_fraction() -> None:
    table = load_published()
    rates = table.loc[table["metric"].isin(literature.METRIC_NAMES.values()), "value"].astype(float)
    assert rates.between(1.5, 100).all()


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.entry)
def test_every_source_has_values(source: literature.Source) -> None:
    assert any(values_of(source, dataset) for dataset in literature.DATASETS)


def test_a_value_is_a_fraction_with_its_spread() -> None:
    (source,) = [each for each in SOURCES if each.label == "NSA (logistic)"]
    value = values_of(source, "mvtec_ad")["bottle", "image_auroc"]
    assert (value.value, value.std, value.verified) == (0.977, 0.003, True)


@pytest.mark.parametrize(
    ("seen", "verified"),
    [
        ("yes", True),
        ("yes (third party)", True),
        ("yes (leaderboard page)", False),
        ("computed", True),
        ("secondary", False),
        ("secondary (quotes paper)", False),
        ("no (recalled, unverified)", False),
    ],
)
def test_what_is_recalled_or_quoted_is_not_verified(seen: str, verified: bool) -> None:
    assert literature.Value(0.5, math.nan, "", seen).verified == verified


def test_ours_stand_beside_with_the_difference(tmp_path: Path) -> None:
    table = report_of(tmp_path, ["bottle", "screw"]).published
    (row,) = pick(table, published="NSA (logistic)", category="screw", metric="image_auroc")[
        lambda rows: rows["method"] == "x"
    ].to_dict("records")
    assert (row["published_value"], row["value"]) == (0.902, 0.9)
    assert row["difference"] == pytest.approx(-0.002)
    assert row["paper"] == "NSA (arXiv 2109.15222)"
    assert row["source"].endswith("cell 6 output")


def test_a_mean_is_over_the_categories_of_our_mean(tmp_path: Path) -> None:
    part = report_of(tmp_path / "part", ["bottle", "screw"]).published
    own = pick(part, category="", metric="image_auroc", published="NSA (logistic)")
    assert own["published_value"].tolist() == pytest.approx([(0.977 + 0.902) / 2] * 2)
    assert own["averaged"].all()
    whole = report_of(tmp_path / "whole", ALL_MVTEC).published
    own = pick(whole, category="", metric="image_auroc")
    printed = dict(zip(own["published"], own["published_value"], strict=True))
    assert printed["CL-Flow"] == 0.996
    assert printed["NSA (logistic)"] == 0.972
    assert printed["FastFlow (abstract)"] == 0.994
    assert set(own.loc[own["averaged"], "published"]) == {"FastFlow (paper)"}


def test_printed_means_of_all_categories_are_not_shown_beside_a_part(tmp_path: Path) -> None:
    table = report_of(tmp_path, ALL_MVTEC[:-1]).published
    assert "CL-Flow" not in set(table["published"])


def test_one_category_has_no_mean(tmp_path: Path) -> None:
    assert set(report_of(tmp_path, ["bottle"]).published["category"]) == {"bottle"}


def test_unverified_values_are_marked_wherever_they_are_shown(tmp_path: Path) -> None:
    markdown, latex = texts_of(tmp_path, ["bottle", "screw"])
    assert "| bottle | FastFlow (paper) | 1.000 ‡ | 0.900 (-0.100) | 0.900 (-0.100) |" in markdown
    assert "| screw | NSA (logistic) | 0.902 ± 0.014 | 0.900 (-0.002) |" in markdown
    assert r"bottle & FastFlow (paper) & 1.000 $^\ddagger$ & 0.900 (-0.100) &" in latex
    table = pd.read_csv(tmp_path / "tables/published.csv", keep_default_na=False)
    unverified = {row["published"] for row in table[~table["verified"]].to_dict("records")}
    assert {"FastFlow (paper)", "PatchCore (quoted by DANFlow)"} <= unverified
    assert "NSA (logistic)" not in unverified
    for line in markdown.splitlines():
        if line.startswith("| ") and any(f"| {name} |" in line for name in unverified):
            assert "‡" in line
    assert "- ‡ FastFlow (paper): " in markdown


def test_values_of_leaderboards_are_marked_and_called_so(tmp_path: Path) -> None:
    markdown, _ = texts_of(tmp_path, ALL_MVTEC)
    assert "| mean of 15 categories | FYD (leaderboard) | 0.977 ‡ |" in markdown
    (remark,) = re.findall(r"^- ‡ FYD \(leaderboard\): .*$", markdown, re.MULTILINE)
    assert "as leaderboards quote it, not seen in the paper" in remark


def test_reasons_tell_methods_apart(tmp_path: Path) -> None:
    table = report_of(tmp_path, ["bottle"], source="folder").published
    own = pick(table, published="PaDiM (xiahaifeng1995)", metric="image_auroc")
    reasons = dict(zip(own["method"], own["reason"], strict=True))
    assert reasons["x"] == (
        "backbone wide_resnet50_2, ours efficientnet_lite0; input size 224, ours 256; centre crop "
        "of 224 from 256 pixels; our images are a copy that may be resized"
    )
    assert reasons["family.y"].startswith("centre crop of 224 from 256 pixels; our images")
    assert not own["comparable"].any()
    markdown, _ = texts_of(tmp_path / "text", ["bottle"], step_fraction=0.2)
    assert (
        "- Ours: efficientnet_lite0 at 256 pixels (x); wide_resnet50_2 at 224 pixels (family.y);"
        in markdown
    )
    assert "ours trained for 0.2 of the steps" in markdown


def test_settings_that_are_not_stated_are_called_so(tmp_path: Path) -> None:
    report = read_study(*write_study(tmp_path, ["bottle"], setups={}), SETTINGS)
    own = pick(report.published, published="PaDiM (xiahaifeng1995)")
    assert own["reason"].str.startswith("backbone wide_resnet50_2, ours not stated; ").all()


def test_a_run_says_nothing_of_its_setup_or_says_it_right(tmp_path: Path) -> None:
    """A result file of before has no setup; one of later may say more of it."""
    later = {"x": SETUPS["x"] | {"pretraining": "ImageNet"}}
    markdown, _ = texts_of(tmp_path / "later", ["bottle"], setups=later)
    told = "- Ours: efficientnet_lite0 at 256 pixels (x); a backbone not stated at a size not st"
    assert told in markdown
    with pytest.raises(DataError, match=r"bottle\.json is malformed: setup\.image_size"):
        report_of(tmp_path / "wrong", ["bottle"], setups={"x": {"image_size": "big"}})


def test_chest_x_rays_have_our_names_of_the_lists() -> None:
    assert literature.categories_of("rcxr") == {"female", "male"}
    (source,) = [each for each in SOURCES if each.label == "NSA (logistic)"]
    values = values_of(source, "rcxr")
    assert set(values) == {("male", "image_auroc"), ("female", "image_auroc")}
    value = values["female", "image_auroc"]
    assert (value.value, value.std, value.verified) == (0.94, 0.005, True)


def test_chest_x_rays_stand_beside_the_authors_runs(tmp_path: Path) -> None:
    table = report_of(tmp_path, ["female", "male"], dataset="rcxr").published
    own = table[table["method"] == "x"].set_index(["published", "category"])["published_value"]
    assert own.to_dict() == pytest.approx(
        {
            ("NSA (logistic)", "female"): 0.940,
            ("NSA (logistic)", "male"): 0.940,
            ("NSA (logistic)", ""): 0.940,
            ("FPI (run by NSA)", "female"): 0.674,
            ("FPI (run by NSA)", "male"): 0.737,
            ("FPI (run by NSA)", ""): 0.7055,
            ("PII (run by NSA)", "female"): 0.928,
            ("PII (run by NSA)", "male"): 0.917,
            ("PII (run by NSA)", ""): 0.9225,
            ("CutPaste (run by NSA)", "female"): 0.562,
            ("CutPaste (run by NSA)", "male"): 0.598,
            ("CutPaste (run by NSA)", ""): 0.580,
        }
    )
    assert table["source"].str.contains("chestxray_evalutation.ipynb").all()
    assert table["verified"].all()
    assert not table["comparable"].any()
    assert table["reason"].str.endswith("our lists may hold other images than the authors'").all()


@pytest.mark.parametrize(
    ("dataset", "categories", "lists"),
    [
        ("rcxr", ["male"], "; our lists may hold other images than the authors'"),
        ("mvtec_ad", ["bottle"], ""),
    ],
)
def test_the_same_network_differs_in_less(
    tmp_path: Path, dataset: str, categories: list[str], lists: str
) -> None:
    study, sources = write_study(tmp_path, categories, dataset=dataset, methods=("nsa", "x"))

    def report(size: int) -> pd.DataFrame:
        own = {"dataset": dataset, "setup": {"backbone": "own", "image_size": size}}
        write_run(sources.results, "nsa", categories[0], {0: {"image_auroc": 0.9}}, **own)
        write_scores(sources.scores, "nsa", categories[0], 0, scores_of(0.9))
        return read_study(study, sources, SETTINGS).published

    table = report(256)
    own = pick(table, published="NSA (logistic)", metric="image_auroc")
    reasons = dict(zip(own["method"], own["reason"], strict=True))
    assert reasons["nsa"] == (
        "ours holds out good images to set thresholds and shrinks images by area, the authors "
        f"train on all and shrink by Lanczos{lists}"
    )
    assert reasons["x"].startswith("backbone resnet18, ours efficientnet_lite0; an encoder-decoder")
    small = report(128)
    own = pick(small, published="NSA (logistic)", metric="image_auroc", method="nsa")
    assert own["reason"].str.startswith("input size 256, ours 128; ours holds out").all()


@pytest.mark.parametrize(
    ("dataset", "categories"), [("demo", ["weave"]), ("own", ["bottle"]), ("mvtec_ad", ["gear"])]
)
def test_a_data_set_without_published_values_shows_nothing(
    tmp_path: Path, dataset: str, categories: list[str]
) -> None:
    markdown, latex = texts_of(tmp_path, categories, dataset=dataset)
    assert "published values" not in markdown + latex
    (header,) = (tmp_path / "tables/published.csv").read_text().splitlines()
    assert header.startswith("dataset,category,metric,published,")


def test_many_categories_are_in_the_file_and_their_mean_in_the_summary(tmp_path: Path) -> None:
    categories = ALL_MVTEC[: SHOWN_CATEGORIES + 1]
    markdown, _ = texts_of(tmp_path, categories)
    section = markdown[markdown.index("## Beside published") : markdown.index("## Protocol")]
    assert "| bottle |" not in section
    assert f"| mean of {len(categories)} categories | NSA (logistic) |" in section
    assert f"all {len(categories)} categories are in `published.csv`" in section
    table = pd.read_csv(tmp_path / "tables/published.csv", keep_default_na=False)
    assert set(table["category"]) == {*categories, ""}


def test_chosen_methods_alone_are_shown(tmp_path: Path) -> None:
    study, sources = write_study(tmp_path, ["bottle"])
    chosen = SETTINGS.model_copy(update={"published": ("PaDiM",)})
    labels = set(read_study(study, sources, chosen).published["published"])
    assert labels == {"PaDiM (quoted by NSA)", "PaDiM (xiahaifeng1995)"}
    none = SETTINGS.model_copy(update={"published": ()})
    assert read_study(study, sources, none).published.empty


@pytest.mark.parametrize(
    ("names", "message"), [(("PaDim",), "did you mean 'PaDiM'"), (("FYD", "FYD"), "listed twice")]
)
def test_settings_refuse_methods_without_published_values(
    names: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        TabulateSettings(published=names)


def test_ours_that_is_undefined_or_failed_keeps_its_row(tmp_path: Path) -> None:
    study, sources = write_study(tmp_path, ["bottle", "screw"])
    write_run(sources.results, "x", "bottle", {0: {"image_auroc": 0.9, "pixel_auroc": None}})
    (sources.results / "family.y/screw.json").unlink()
    write_tables(study, sources, SETTINGS, tmp_path / "tables")
    text = re.sub(r" +", " ", (tmp_path / "tables/summary.md").read_text())
    assert "| bottle | NSA (logistic) | 0.983 ± 0.001 | – | 0.500 (-0.483) |" in text
    assert "| screw | NSA (logistic) | 0.902 ± 0.014 | 0.900 (-0.002) | – † |" in text
    table = pd.read_csv(tmp_path / "tables/published.csv", keep_default_na=False)
    own = pick(table, category="bottle", metric="pixel_auroc", method="x")
    assert (own[["value", "difference"]] == "").all(axis=None)
