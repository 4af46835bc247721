"""Studies of listed images: the presets `table` and `chest_xray`, and the manifests they give."""

import runpy
import sys
from pathlib import Path

import pytest
from builders import listed_category

from clflow.cli import main as cli
from clflow.data.layouts import find_images
from clflow.data.records import read_manifest
from clflow.errors import SettingsError
from clflow.pipeline.presets import CHEST_LISTS, Choice, build_study
from clflow.settings import read_params
from clflow.study.paths import StudyPaths
from clflow.synthesis.background import class_table, decide
from clflow.synthesis.nsa import NSA
from clflow.synthesis.settings import SynthesizeSettings

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder that holds the repository's params.yaml."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_bytes((REPOSITORY / "params.yaml").read_bytes())
    return tmp_path


def use(monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    monkeypatch.setattr(sys, "argv", ["clflow", "study", "use", *words])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code


def prepare(monkeypatch: pytest.MonkeyPatch, category: str) -> object:
    monkeypatch.setattr(sys, "argv", ["prepare.py", category])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(REPOSITORY / "stages/prepare.py"), run_name="__main__")
    return caught.value.code


@pytest.mark.parametrize("given", ["parts", "parts/gear"])
def test_a_listed_category_is_prepared(
    given: str, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed_category(Path("parts"), "gear", good=30)
    assert use(monkeypatch, "table", "--root", given, "--method", "clflow") in (0, None)
    study = read_params()["study"]
    assert (study["layout"], study["categories"]) == ("table", {"gear": "parts/gear"})
    assert prepare(monkeypatch, "gear") in (0, None)
    manifest = read_manifest(StudyPaths(study["name"]).manifest("gear"))
    assert (len(manifest.train), len(manifest.validation), len(manifest.test)) == (16, 8, 8)
    assert all((Path("parts") / record.path).is_file() for record in manifest.records)
    assert [one.mask for one in manifest.test if one.label] == ["gear/masks/a.png", None]


def test_a_wrong_list_ends_prepare_with_one_error(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (listed_category(Path("parts")) / "003.png").unlink()
    use(monkeypatch, "table", "--root", "parts", "--method", "clflow")
    assert prepare(monkeypatch, "gear") == 1
    errors = capsys.readouterr().err
    assert errors.startswith("error: parts/gear/list.csv has 1 problem(s):\n  - line 5: no file")
    assert not Path("data/manifests").exists()


def test_chest_lists_have_the_published_settings(tmp_path: Path) -> None:
    """The study's names must be those under which the synthesis has the authors' settings."""
    for name in CHEST_LISTS:
        listed_category(tmp_path, name, good=1)
    study = build_study("chest_xray", Choice(roots=(tmp_path,)))
    assert (study.layout, study.category_names) == ("table", ("female", "male"))
    assert (study.methods, len(study.seeds), study.step_fraction) == (("nsa",), 5, 1)
    assert set(CHEST_LISTS) == set(class_table()["classes"][study.dataset])
    settings = SynthesizeSettings()
    for category in study.categories:
        assert find_images(study.root_of(category), category, study.layout)
        resolved = NSA().resolve(decide(study.dataset, category, settings, []), settings)
        assert resolved.background == (0, 20)
        assert (resolved.clone, resolved.gamma_scale, resolved.gamma_offset) == (
            ("mixed", 0.03, 0.05)
        )


def test_the_chest_preset_is_written_with_any_method(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed_category(Path("xrays"), "male")
    words = ("--root", "xrays", "--method", "clflow", "--seed", "3")
    assert use(monkeypatch, "chest_xray", *words) in (0, None)
    study = read_params()["study"]
    assert (study["dataset"], list(study["categories"]), study["seeds"]) == ("rcxr", ["male"], [3])
    assert prepare(monkeypatch, "male") in (0, None)


def test_chest_lists_of_other_names_are_refused(tmp_path: Path) -> None:
    """They would silently be given measured settings instead of the published ones."""
    listed_category(tmp_path, "male", good=1)
    listed_category(tmp_path, "men", good=1)
    with pytest.raises(SettingsError, match=r"list of chest_xray 'men'.*allowed are female, male"):
        build_study("chest_xray", Choice(roots=(tmp_path,)))
    chosen = build_study("chest_xray", Choice(roots=(tmp_path,), categories=("male",)))
    assert chosen.category_names == ("male",)


def test_a_chest_list_itself_may_be_given(tmp_path: Path) -> None:
    folder = listed_category(tmp_path, "female", good=1)
    study = build_study("chest_xray", Choice(roots=(folder,)))
    assert study.categories == {"female": folder.as_posix()}


def test_a_table_named_like_a_known_data_set_is_told_apart(tmp_path: Path) -> None:
    listed_category(tmp_path / "rcxr", "male", good=1)
    assert build_study("table", Choice(roots=(tmp_path / "rcxr",))).dataset == "own_rcxr"
