import re
from pathlib import Path

import pytest
from builders import btad_category, flat_category, mvtec_category, visa_dataset
from pydantic import ValidationError
from ruamel.yaml import YAML

from clflow.data.catalog import dataset_names, load_dataset
from clflow.data.layouts import find_images
from clflow.detectors.registry import METHODS, find_method
from clflow.errors import ClflowError, DataError, SettingsError
from clflow.pipeline.params import check_params
from clflow.pipeline.presets import DEFAULT_SEEDS, METHOD_ORDER, Choice, build_study, preset_names
from clflow.pipeline.rewrite import rewrite_study
from clflow.settings import read_params
from clflow.study.settings import StudySettings

PARAMS = (Path(__file__).parents[1] / "params.yaml").read_text(encoding="utf-8")


def folders(root: Path, *categories: str) -> dict[str, str]:
    return {name: (root / name).as_posix() for name in categories}


def between(text: str, section: str) -> str:
    """Return the lines of a section, and the comments below it."""
    found = re.search(rf"^{section}:.*?(?=^[a-z])", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found.group(0)


@pytest.fixture
def params(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", dataset_names())
def test_preset_of_a_data_set_is_all_of_it(name: str) -> None:
    dataset, study = load_dataset(name), build_study(name, Choice())
    assert study == StudySettings(
        name=name,
        dataset=name,
        layout=dataset.layout,
        index=study.index,
        categories={each: f"data/raw/{name}/images/{each}" for each in dataset.categories},
        methods=METHOD_ORDER,
        seeds=DEFAULT_SEEDS,
        step_fraction=1.0,
    )


@pytest.mark.parametrize(
    ("name", "index"),
    [
        pytest.param("visa", "data/raw/visa/images/split_csv/1cls.csv", id="split-table"),
        pytest.param("mvtec_ad", "data/raw/mvtec_ad/source.json", id="record"),
    ],
)
def test_index_is_what_decides_the_manifest(name: str, index: str) -> None:
    assert build_study(name, Choice()).index == index


def test_demo_is_laid_out_like_mvtec_ad() -> None:
    study = build_study("demo", Choice())
    assert (study.layout, study.source) == ("mvtec_ad", "download")
    assert study.category_names == ("weave", "washer", "bolt")
    assert study.root_of("bolt") == Path("data/raw/demo/images")


def test_every_preset_is_tested() -> None:
    assert set(preset_names()) == {
        *("demo", "folder", "table", "chest_xray", "ablation", "ablation_fyd"),
        *dataset_names(),
    }


@pytest.mark.parametrize(
    ("preset", "own", "baseline"), [("ablation", "clflow", None), ("ablation_fyd", "fyd", "padim")]
)
def test_ablation_is_the_method_and_all_its_variants(
    preset: str, own: str, baseline: str | None, tmp_path: Path
) -> None:
    mvtec_category(tmp_path, "bottle", train=1, good=1)
    study = build_study(preset, Choice(roots=(tmp_path,)))
    assert (study.name, study.dataset, study.seeds) == (preset, "mvtec_ad", (0, 1, 2))
    variants = [name for name in METHODS if name.startswith(f"ablation.{own}_")]
    assert len(variants) > 4
    assert set(study.methods) == {own, *variants} | ({baseline} - {None})


@pytest.mark.parametrize("name", [name for name in METHODS if name.startswith("ablation.")])
def test_variant_differs_from_its_method(name: str) -> None:
    variant = find_method(name)
    method = find_method(name.removeprefix("ablation.").partition("_")[0])
    assert variant.detector == method.detector
    assert dict(variant.defaults) != dict(method.defaults)
    assert variant.notes


def test_choice_replaces_the_presets_own() -> None:
    choice = Choice(categories=("tile", "grid"), methods=("clflow",), seeds=(7,))
    study = build_study("mvtec_ad", choice)
    assert study.category_names == ("tile", "grid")
    assert (study.methods, study.seeds) == (("clflow",), (7,))


@pytest.mark.parametrize(
    ("preset", "choice", "message"),
    [
        pytest.param("mvtec", Choice(), "unknown preset 'mvtec': did you mean 'mvtec_ad'", id="p"),
        pytest.param(
            "mvtec_ad", Choice(categories=("botle",)), "category 'botle'.*mean 'bottle'", id="c"
        ),
        pytest.param("demo", Choice(categories=("bottle",)), "allowed are bolt, washer", id="demo"),
        pytest.param("demo", Choice(methods=("clfow",)), "'clfow': did you mean 'clflow'", id="m"),
        pytest.param("demo", Choice(roots=(Path(),)), "takes no --root", id="demo-root"),
        pytest.param("folder", Choice(), "needs --root DIR", id="folder-without-root"),
        pytest.param("table", Choice(), "'table' needs --root DIR", id="table-without-root"),
        pytest.param("chest_xray", Choice(), "needs --root DIR", id="chest-without-root"),
        pytest.param("demo", Choice(seeds=(-1,)), r"study\.seeds\.0: .*equal to 0", id="negative"),
        pytest.param("demo", Choice(seeds=(3, 3)), "3 is given more than once", id="seed-twice"),
        pytest.param(
            "demo", Choice(categories=("bolt", "bolt")), "'bolt' is given more", id="category-twice"
        ),
    ],
)
def test_choice_that_cannot_be(preset: str, choice: Choice, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        build_study(preset, choice)


def test_catalogued_data_set_elsewhere_has_the_categories_found_there(tmp_path: Path) -> None:
    for name in ("bottle", "grid"):
        mvtec_category(tmp_path, name, train=1, good=1)
    study = build_study("mvtec_ad", Choice(roots=(tmp_path,)))
    assert study.categories == folders(tmp_path, "bottle", "grid")
    assert study.source == "folder"
    assert study.index == "data/raw/mvtec_ad/source.json"
    with pytest.raises(SettingsError, match="allowed are bottle, grid"):
        build_study("mvtec_ad", Choice(roots=(tmp_path,), categories=("tile",)))


def test_visa_elsewhere_is_decided_by_its_own_table(tmp_path: Path) -> None:
    visa_dataset(tmp_path, "candle", train=1)
    study = build_study("visa", Choice(roots=(tmp_path,)))
    assert (study.categories, study.layout) == (folders(tmp_path, "candle"), "visa")
    assert Path(study.index) == tmp_path / "split_csv/1cls.csv"
    assert Path(study.index).is_file()


@pytest.mark.parametrize("preset", ["folder", "table", "chest_xray", "mvtec_ad", "btad", "visa"])
def test_root_without_categories_is_refused(preset: str, tmp_path: Path) -> None:
    for root, message in ((tmp_path, "no category in"), (tmp_path / "absent", "no data folder")):
        with pytest.raises(DataError, match=message):
            build_study(preset, Choice(roots=(root,), categories=("any",)))


def test_own_folder_that_holds_categories(tmp_path: Path) -> None:
    root = tmp_path / "my parts (2024)"
    flat_category(root, "gear", good=1)
    mvtec_category(root, "axle", train=1, good=1)
    study = build_study("folder", Choice(roots=(root,)))
    assert (study.name, study.dataset, study.layout) == ("my_parts_2024", study.name, "folder")
    assert study.categories == folders(root, "axle", "gear")
    assert study.index == "data/raw/my_parts_2024/source.json"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param("parts/gear", "parts", id="relative"),
        pytest.param("./parts/../parts/gear/", "parts", id="detour"),
        pytest.param("{here}/parts/gear", "{here}/parts", id="absolute"),
        pytest.param("link", "{here}/parts", id="link"),
    ],
)
def test_own_folder_that_is_the_one_category(
    given: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flat_category(Path("parts"), "gear", good=1)
    Path("link").symlink_to("parts/gear")
    study = build_study("folder", Choice(roots=(Path(given.format(here=tmp_path)),)))
    root = expected.format(here=tmp_path)
    assert (study.name, study.categories) == ("gear", {"gear": f"{root}/gear"})
    assert study.root_of("gear") == Path(root)
    assert find_images(Path(root), "gear", study.layout)


def test_own_folder_from_within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(flat_category(tmp_path, "gear", good=1))
    study = build_study("folder", Choice(roots=(Path(),)))
    assert study.categories == {"gear": "../gear"}


@pytest.mark.parametrize("name", ["demo", "mvtec_ad", "visa", "rcxr"])
def test_own_folder_never_takes_the_place_of_a_known_data_set(name: str, tmp_path: Path) -> None:
    flat_category(tmp_path / name, "gear", good=1)
    assert build_study("folder", Choice(roots=(tmp_path / name,))).dataset == f"own_{name}"


@pytest.mark.parametrize("preset", ["demo", *dataset_names()])
def test_rewritten_study_reads_back_and_all_else_stays(preset: str, params: Path) -> None:
    study = build_study(preset, Choice(seeds=(3, 1, 2)))
    rewrite_study(params, study)
    written = read_params(params)
    assert StudySettings.model_validate(written["study"]) == study
    check_params(written)
    old, new = PARAMS.split("study:\n"), params.read_text(encoding="utf-8").split("study:\n")
    assert new[0] == old[0]
    for section in ("download", "selection_bias"):
        assert between(new[1], section) == between(old[1], section)
    assert "  seeds: [3, 1, 2]\n" in new[1]


def test_names_that_look_like_numbers_stay_names(params: Path) -> None:
    rewrite_study(params, build_study("btad", Choice()))
    assert list(read_params(params)["study"]["categories"]) == ["01", "02", "03"]


UNTIDY = """\
# a header

prepare:   {seed: 0,validation_fraction: 0.1}   # laid out by hand
synthesize:
    image_size:   256
    nsa: {}
# about the study
study: # here
  name: demo  # its name
  dataset: "demo"
  # where the images are
  layout: mvtec_ad
  index: data/raw/demo/source.json

  categories:
    weave: data/raw/demo/images/weave
    bolt: data/raw/demo/images/bolt
  methods: [fastflow]   # one
  seeds: [0]

# about the rest
train:
    fastflow: { image_size:   64 }
download: {archive: , demo_seed: 0}
evaluate: {"worst": 4}
figures: {}
selection_bias: {}
cost: {}
tabulate:
  metrics: [image_auroc,
            image_ap]   # two
"""


def test_comments_and_other_layouts_survive(params: Path) -> None:
    params.write_text(UNTIDY, encoding="utf-8")
    choice = Choice(categories=("washer",), methods=("fastflow",), seeds=(4, 5))
    rewrite_study(params, build_study("demo", choice))
    lines = params.read_text(encoding="utf-8").splitlines()
    old = UNTIDY.splitlines()
    start, end = old.index("study: # here"), old.index("train:")
    assert lines[:start] == old[:start]
    assert lines[-len(old[end:]) :] == old[end:]
    study = "\n".join(lines[start : -len(old[end:])])
    assert "name: demo  # its name" in study
    assert "# where the images are" in study
    assert "\n# about the rest" in study
    assert "methods: [fastflow]   # one" in study
    assert "washer: data/raw/demo/images/washer" in study
    assert "seeds: [4, 5]" in study


def test_rewriting_twice_changes_nothing(params: Path) -> None:
    study = build_study("visa", Choice())
    rewrite_study(params, study)
    once = params.read_bytes()
    rewrite_study(params, study)
    assert params.read_bytes() == once


def test_study_as_the_last_section(params: Path) -> None:
    head, _, rest = PARAMS.partition("study:\n")
    section, _, others = rest.partition("download:")
    params.write_text(f"{head}download:{others}study:\n{section}", encoding="utf-8")
    rewrite_study(params, build_study("btad", Choice()))
    text = params.read_text(encoding="utf-8")
    assert text.startswith(f"{head}download:{others}".partition("train:")[0])
    assert text.index("study:\n") > text.index("tabulate:")
    assert read_params(params)["study"]["name"] == "btad"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            PARAMS.replace("tabulate: {}", "tabulate: {digits: many}"), "digits", id="elsewhere"
        ),
        pytest.param(PARAMS.replace("  clflow: {}\n", "  clflwo: {}\n"), "train", id="method"),
        pytest.param(PARAMS.replace("study:\n", "study:\n  nmae: x\n"), "nmae", id="in-the-study"),
        pytest.param(PARAMS.replace("study:", "sutdy:"), "no study section", id="no-study"),
        pytest.param("study: [", "not valid YAML", id="no-yaml"),
    ],
)
def test_file_that_would_not_be_valid_is_left_alone(
    content: str, message: str, params: Path
) -> None:
    params.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match=message):
        rewrite_study(params, build_study("demo", Choice()))
    assert params.read_text(encoding="utf-8") == content
    assert list(params.parent.iterdir()) == [params]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ClflowError, match="run in the root of a clone"):
        rewrite_study(tmp_path / "params.yaml", build_study("demo", Choice()))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("name", "../up", id="path"),
        pytest.param("name", "", id="empty"),
        pytest.param("categories", {}, id="no-category"),
        pytest.param("categories", ["weave"], id="category-without-folder"),
        pytest.param("categories", {"a/b": "parts/a/b"}, id="nested-category"),
        pytest.param("categories", {"a": "parts/b"}, id="category-of-another-name"),
        pytest.param("methods", ["clflow", "clflow"], id="method-twice"),
        pytest.param("seeds", [2**63], id="seed-beyond-64-bits"),
        pytest.param("seeds", [0.5], id="fraction"),
        pytest.param("source", "ftp", id="source"),
        pytest.param("extra", 1, id="unknown"),
    ],
)
def test_settings_of_a_study_are_checked(field: str, value: object) -> None:
    values = build_study("demo", Choice()).model_dump()
    with pytest.raises(ValidationError, match=field):
        StudySettings.model_validate(values | {field: value})


def test_several_roots_are_one_study(tmp_path: Path) -> None:
    for line, part in (("a", "bottle"), ("b", "screw")):
        mvtec_category(tmp_path / line, part, train=1, good=1)
    roots = (tmp_path / "a", tmp_path / "b")
    study = build_study("mvtec_ad", Choice(roots=roots))
    assert study.categories == folders(roots[0], "bottle") | folders(roots[1], "screw")
    assert build_study("folder", Choice(roots=roots)).name == "a_b"
    single = build_study("folder", Choice(roots=(roots[0] / "bottle", roots[1])))
    assert single.categories == study.categories


def test_a_category_of_two_roots_is_told(tmp_path: Path) -> None:
    for line in ("a", "b"):
        mvtec_category(tmp_path / line, "bottle", train=1, good=1)
    mvtec_category(tmp_path / "b", "screw", train=1, good=1)
    roots = (tmp_path / "a", tmp_path / "b")
    with pytest.raises(
        SettingsError, match=r"'bottle' is in several roots: .*a/bottle, .*b/bottle"
    ):
        build_study("mvtec_ad", Choice(roots=roots))
    chosen = build_study("mvtec_ad", Choice(roots=roots, categories=("screw",)))
    assert chosen.category_names == ("screw",)


def test_a_layout_with_its_table_in_the_root_takes_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="has its table in the root"):
        build_study("visa", Choice(roots=(tmp_path / "a", tmp_path / "b")))


def test_methods_without_a_section_get_an_empty_one(params: Path) -> None:
    methods = ("clflow", "nsa", "anomalib.padim", "anomalib.patchcore")
    study = build_study("demo", Choice()).model_copy(update={"methods": methods})
    rewrite_study(params, study)
    train = read_params(params)["train"]
    assert (train["nsa"], train["anomalib"]["padim"]) == ({}, {})
    assert (
        train["anomalib"]["patchcore"]
        == YAML(typ="safe").load(PARAMS)["train"]["anomalib"]["patchcore"]
    )
    assert "# methods of the library anomalib" in params.read_text()


def test_cost_is_measured_on_a_category_of_the_study(params: Path) -> None:
    rewrite_study(params, build_study("demo", Choice(categories=("washer", "bolt"))))
    assert read_params(params)["cost"]["category"] == "washer"


def test_btad_elsewhere(tmp_path: Path) -> None:
    btad_category(tmp_path, "02", train=1)
    assert build_study("btad", Choice(roots=(tmp_path,))).category_names == ("02",)
