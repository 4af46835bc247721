import re
from pathlib import Path

import pytest
from builders import btad_category, flat_category, mvtec_category, visa_dataset
from pydantic import ValidationError
from run_files import folders as downloaded

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
    """Return the section `study.categories` of one's own folders below one root."""
    return {name: (root / name).as_posix() for name in categories}


def lines_of(text: str, section: str) -> str:
    """Return a section's lines without the comments above it."""
    found = re.search(rf"^{section}:.*\n(?:[ #].*\n|\n)*", text, re.MULTILINE)
    assert found is not None
    return re.sub(r"^(?:#.*)?\n", "", found[0], flags=re.MULTILINE)


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
        source="download",
        layout=dataset.layout,
        index=study.index,
        categories=downloaded(*dataset.categories, dataset=name),
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
    assert study.categories == downloaded("weave", "washer", "bolt", dataset="demo")
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
    study = build_study(preset, Choice((tmp_path,)))
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
        pytest.param("demo", Choice((Path(),)), "takes no --root", id="demo-root"),
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
    study = build_study("mvtec_ad", Choice((tmp_path,)))
    assert study.source == "folder"
    assert study.categories == folders(tmp_path, "bottle", "grid")
    assert study.index == "data/raw/mvtec_ad/source.json"
    with pytest.raises(SettingsError, match="allowed are bottle, grid"):
        build_study("mvtec_ad", Choice((tmp_path,), categories=("tile",)))


def test_visa_elsewhere_is_decided_by_its_own_table(tmp_path: Path) -> None:
    visa_dataset(tmp_path, "candle", train=1)
    study = build_study("visa", Choice((tmp_path,)))
    assert (study.categories, study.layout) == (folders(tmp_path, "candle"), "visa")
    assert Path(study.index) == tmp_path / "split_csv/1cls.csv"
    assert Path(study.index).is_file()


@pytest.mark.parametrize("preset", ["folder", "table", "chest_xray", "mvtec_ad", "btad", "visa"])
def test_root_without_categories_is_refused(preset: str, tmp_path: Path) -> None:
    for root, message in ((tmp_path, "no category in"), (tmp_path / "absent", "no data folder")):
        with pytest.raises(DataError, match=message):
            build_study(preset, Choice((root,), categories=("any",)))


def test_own_folder_that_holds_categories(tmp_path: Path) -> None:
    root = tmp_path / "my parts (2024)"
    flat_category(root, "gear", good=1)
    mvtec_category(root, "axle", train=1, good=1)
    study = build_study("folder", Choice((root,)))
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
    study = build_study("folder", Choice((Path(given.format(here=tmp_path)),)))
    assert (study.name, study.category_names) == ("gear", ("gear",))
    root = study.root_of("gear")
    assert root.as_posix() == expected.format(here=tmp_path)
    assert (root / "gear" / "good").is_dir()
    assert find_images(root, "gear", study.layout)


def test_own_folder_from_within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(flat_category(tmp_path, "gear", good=1))
    study = build_study("folder", Choice((Path(),)))
    assert study.categories == {"gear": "../gear"}


def test_categories_of_several_roots_are_one_study(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for root, name in ((one, "gear"), (one, "axle"), (other, "cog")):
        mvtec_category(root, name, train=1, good=1)
    study = build_study("folder", Choice((one, other / "cog")))
    assert study.name == "one_cog"
    assert study.categories == folders(one, "axle", "gear") | folders(other, "cog")
    assert [study.root_of(name) for name in study.categories] == [one, one, other]
    chosen = build_study("folder", Choice((other, one), categories=("gear", "cog")))
    assert chosen.categories == folders(one, "gear") | folders(other, "cog")
    catalogued = build_study("mvtec_ad", Choice((other, one)))
    assert catalogued.category_names == ("cog", "axle", "gear")


def test_a_category_in_two_roots_is_named_with_both(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for root, name in ((one, "gear"), (other, "gear"), (other, "cog")):
        mvtec_category(root, name, train=1, good=1)
    with pytest.raises(SettingsError) as caught:
        build_study("folder", Choice((one, other)))
    assert f"'gear' is in several roots: {one / 'gear'}, {other / 'gear'};" in str(caught.value)
    chosen = build_study("folder", Choice((one, other), categories=("cog",)))
    assert chosen.categories == folders(other, "cog")
    # the same root twice is no second one
    twice = build_study("folder", Choice((one, tmp_path / "other/../one")))
    assert twice.categories == folders(one, "gear")


def test_a_layout_with_a_table_in_its_root_takes_one(tmp_path: Path) -> None:
    for name in ("a", "b"):
        visa_dataset(tmp_path / name, f"candle_{name}", train=1)
    with pytest.raises(SettingsError, match=r"given 2 times: the layout 'visa'.*takes one"):
        build_study("visa", Choice((tmp_path / "a", tmp_path / "b")))


def test_every_root_must_hold_a_category(tmp_path: Path) -> None:
    mvtec_category(tmp_path / "one", "gear", train=1)
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match=r"no category in .*other"):
        build_study("folder", Choice((tmp_path / "one", tmp_path / "other")))


def test_a_list_of_categories_says_how_to_write_them() -> None:
    values = build_study("demo", Choice()).model_dump() | {"categories": ["weave", "bolt"]}
    with pytest.raises(ValidationError, match=r"give each category its folder, such as \{bottle: "):
        StudySettings.model_validate(values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "folder"}, "source is folder: category weave must lie outside of data/raw"),
        (
            {"categories": {"weave": "parts/weave"}},
            "source is download: category weave must lie in data/raw/demo/images, not in 'parts/w",
        ),
        ({"dataset": "btad"}, "must lie in data/raw/btad/images"),
        ({"categories": {"weave": "data/raw/demo/images/cloth"}}, "has the name of its folder"),
    ],
)
def test_folders_must_fit_where_images_come_from(changes: dict[str, object], message: str) -> None:
    values = build_study("demo", Choice(categories=("weave",))).model_dump()
    with pytest.raises(ValidationError, match=message):
        StudySettings.model_validate(values | changes)


@pytest.mark.parametrize("name", ["demo", "mvtec_ad", "visa", "rcxr"])
def test_own_folder_never_takes_the_place_of_a_known_data_set(name: str, tmp_path: Path) -> None:
    flat_category(tmp_path / name, "gear", good=1)
    assert build_study("folder", Choice((tmp_path / name,))).dataset == f"own_{name}"


@pytest.mark.parametrize("preset", ["demo", *dataset_names()])
def test_rewritten_study_reads_back_and_all_else_stays(preset: str, params: Path) -> None:
    study = build_study(preset, Choice(seeds=(3, 1, 2)))
    rewrite_study(params, study)
    written = read_params(params)
    assert StudySettings.model_validate(written["study"]) == study
    check_params(written)
    old, new = PARAMS.split("study:\n"), params.read_text(encoding="utf-8").split("study:\n")
    assert new[0] == old[0]
    assert "  seeds: [3, 1, 2]\n" in new[1]
    for section in ("download", "prepare", "synthesize", "evaluate", "figures", "selection_bias"):
        assert lines_of(new[1], section) == lines_of(old[1], section)
    assert lines_of(new[1], "tabulate") == lines_of(old[1], "tabulate")


def test_methods_without_a_section_get_an_empty_one(params: Path) -> None:
    methods = ("clflow", "padim", "anomalib.dfm", "ablation.fyd_full")
    before = read_params(params)["train"]
    study = build_study("demo", Choice())
    rewrite_study(params, study.model_copy(update={"methods": methods}))
    train = read_params(params)["train"]
    assert train["clflow"] == train["padim"] == train["ablation"]["fyd_full"] == {}
    # what was there stays, chosen or not, and so do comments
    assert train["anomalib"] == before["anomalib"] | {"dfm": {}}
    assert train["fastflow"] == before["fastflow"]
    text = params.read_text(encoding="utf-8")
    assert "# methods of the library anomalib" in text
    assert re.search(r"coreset_sampling_ratio: 0\.01 +# anomalib: 0\.1", text)


def test_cost_is_measured_on_a_category_of_the_study(params: Path) -> None:
    for categories, expected in ((("bolt", "weave"), "weave"), (("bolt",), "bolt")):
        rewrite_study(params, build_study("demo", Choice(categories=categories)))
        assert read_params(params)["cost"]["category"] == expected


@pytest.mark.parametrize(
    "train", ["train: {}\n", "train: {clflow: {image_size: 64}, anomalib: }\n", "train:\n", ""]
)
@pytest.mark.parametrize("cost", ["cost: {}\n", "cost:\n", ""])
def test_short_sections_are_filled_in(train: str, cost: str, params: Path) -> None:
    methods = ("clflow", "fastflow", "anomalib.dfm")
    study = build_study("demo", Choice()).model_copy(update={"methods": methods})
    text = re.sub(r"^train:.*?(?=^evaluate)", train, PARAMS, flags=re.M | re.S)
    text = re.sub(r"^cost:.*?(?=^tabulate)", cost, text, flags=re.M | re.S)
    params.write_text(text, encoding="utf-8")
    rewrite_study(params, study)
    written = read_params(params)
    own = {"image_size": 64} if "64" in train else {}
    assert written["train"] == {"clflow": own, "fastflow": {}, "anomalib": {"dfm": {}}}
    assert written.get("cost") in (None, {})
    assert check_params(written).study == study


def test_a_section_that_ends_the_file_without_a_line_end(params: Path) -> None:
    head, _, rest = PARAMS.partition("study:\n")
    section, _, others = rest.partition("download:")
    params.write_text(f"{head}download:{others}study:\n{section}".rstrip(), encoding="utf-8")
    study = build_study("demo", Choice(methods=("nsa",)))
    rewrite_study(params, study)
    assert check_params(read_params(params)).study == study


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
cost: {category: washer}
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
    assert "    washer: data/raw/demo/images/washer" in study
    assert "weave" not in study
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
    rewrite_study(params, build_study("demo", Choice(seeds=(9,))))
    text = params.read_text(encoding="utf-8")
    assert text.startswith(f"{head}download:{others}study:\n")
    assert read_params(params)["study"]["seeds"] == [9]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            PARAMS.replace("tabulate: {}", "tabulate: {digits: many}"), "digits", id="elsewhere"
        ),
        pytest.param(PARAMS.replace("  clflow: {", "  clflwo: {"), "train", id="method"),
        pytest.param(PARAMS.replace("study:\n", "study:\n  nmae: x\n"), "nmae", id="in-the-study"),
        pytest.param(PARAMS.replace("study:", "sutdy:"), "no study section", id="no-study"),
        pytest.param(
            PARAMS.replace("download: {}", "download: 3"), "download: must hold keys", id="value"
        ),
        *(
            pytest.param(
                re.sub(rf"^{name}:(\n[ #].*|\n)*", f"{name}: 3\n", PARAMS, flags=re.MULTILINE),
                f"{name}: must hold keys",
                id=f"{name}-is-a-value",
            )
            for name in ("train", "cost")
        ),
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
        pytest.param("categories", {"a/b": "a/b"}, id="nested-category"),
        pytest.param("categories", {"a": ""}, id="no-folder"),
        pytest.param("source", "web", id="unknown-source"),
        pytest.param("methods", ["clflow", "clflow"], id="method-twice"),
        pytest.param("seeds", [2**63], id="seed-beyond-64-bits"),
        pytest.param("seeds", [0.5], id="fraction"),
        pytest.param("root", "images", id="one-root"),
        pytest.param("extra", 1, id="unknown"),
    ],
)
def test_settings_of_a_study_are_checked(field: str, value: object) -> None:
    values = build_study("demo", Choice()).model_dump()
    with pytest.raises(ValidationError, match=field):
        StudySettings.model_validate(values | {field: value})


def test_btad_elsewhere(tmp_path: Path) -> None:
    btad_category(tmp_path, "02", train=1)
    assert build_study("btad", Choice((tmp_path,))).categories == folders(tmp_path, "02")
