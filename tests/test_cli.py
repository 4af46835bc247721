import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pytest
from builders import flat_category, mvtec_category
from ruamel.yaml import YAML

from clflow import progress
from clflow.cli import main as cli
from clflow.data.images import read_mask, write_png
from clflow.pipeline.params import Params, load_params
from clflow.settings import read_params

PARAMS = (Path(__file__).parents[1] / "params.yaml").read_text(encoding="utf-8")


class Outcome(NamedTuple):
    code: object
    out: str
    err: str


def with_wrong_digits() -> str:
    return PARAMS.replace("tabulate: {}", "tabulate: {digits: many}")


Command = Callable[..., Outcome]


@pytest.fixture
def clflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run the command line in a folder that holds the repository's params.yaml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    Path("params.yaml").write_text(PARAMS, encoding="utf-8")

    def run(*words: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["clflow", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return Outcome(caught.value.code, *capsys.readouterr())

    return run


def test_use_writes_the_study_and_says_what_is_next(clflow: Command) -> None:
    mvtec_category(Path("parts"), "gear", train=1)
    outcome = clflow("study", "use", "folder", "--root", "parts", "--method", "clflow", "--seed", 4)
    assert (outcome.code, outcome.err) == (0, "")
    assert "1 categories, methods clflow, seeds 4; images from parts" in outcome.out
    assert outcome.out.endswith("now run: dvc repro\n")
    study = read_params()["study"]
    assert (study["categories"], study["methods"]) == ({"gear": "parts/gear"}, ["clflow"])
    assert study["seeds"] == [4]
    assert clflow("study", "check") == (0, "params.yaml is valid\n", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param("mvtec", "unknown preset 'mvtec': did you mean 'mvtec_ad'?", id="preset"),
        pytest.param("demo --category bolts", "did you mean 'bolt'?", id="category"),
        pytest.param("demo --method flow", "did you mean 'clflow'?", id="method"),
        pytest.param("folder", "needs --root DIR", id="no-root"),
        pytest.param("folder --root absent", "no data folder absent", id="root"),
        pytest.param("demo --seed=-1", "study.seeds.0", id="seed"),
    ],
)
def test_failed_use_is_one_error_and_changes_nothing(
    clflow: Command, words: str, message: str
) -> None:
    code, out, err = clflow("study", "use", *words.split())
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert message in err
    assert Path("params.yaml").read_text(encoding="utf-8") == PARAMS


def test_use_refuses_to_write_a_file_that_would_not_be_valid(clflow: Command) -> None:
    wrong = with_wrong_digits()
    Path("params.yaml").write_text(wrong, encoding="utf-8")
    code, out, err = clflow("study", "use", "btad")
    assert (code, out) == (1, "")
    assert "tabulate.digits" in err
    assert Path("params.yaml").read_text(encoding="utf-8") == wrong


def test_check_lists_all_that_is_wrong(clflow: Command) -> None:
    wrong = with_wrong_digits().replace("prepare: {}", "prepare: {sede: 1}")
    wrong = wrong.replace("  generator: nsa", "  generator: nas")
    Path("params.yaml").write_text(wrong, encoding="utf-8")
    code, out, err = clflow("study", "check")
    assert (code, out) == (1, "")
    assert err.startswith("error: params.yaml has 3 problems:\n")
    for path in ("prepare.sede: unknown key; did you mean 'seed'?", "synthesize.gen", "tabulate"):
        assert f"\n  {path}" in err


def test_settings_are_listed_and_those_of_params_marked(clflow: Command) -> None:
    text = PARAMS.replace("clflow: {}", "clflow: {flow: {steps: 4}}")
    Path("params.yaml").write_text(text, encoding="utf-8")
    code, out, _ = clflow("study", "show", "--settings")
    assert code == 0
    listed = YAML(typ="safe").load(out)
    assert Params.model_validate(listed).study == load_params().study
    assert listed["train"]["clflow"]["flow"]["steps"] == 4
    marked = {
        line.split(":")[0].strip() for line in out.splitlines() if line.endswith("params.yaml")
    }
    assert {"name", "generator", "steps", "points"} <= marked
    assert not {"digits", "per_image", "kernels"} & marked
    code, own, _ = clflow("study", "show", "--settings", "clflow")
    assert (code, YAML(typ="safe").load(own)) == (0, {"clflow": listed["train"]["clflow"]})
    assert clflow("study", "show", "--settings", "clfow").err.startswith("error: unknown method")


def test_several_roots_make_one_study(clflow: Command) -> None:
    mvtec_category(Path("parts"), "gear", train=1)
    mvtec_category(Path("more"), "cog", train=1)
    words = ("study", "use", "folder", "--root", "parts", "--root", "more")
    assert clflow(*words).out.splitlines()[0].endswith("images from parts, more")
    assert read_params()["study"]["categories"] == {"gear": "parts/gear", "cog": "more/cog"}
    mvtec_category(Path("more"), "gear", train=1)
    code, out, err = clflow(*words)
    assert (code, out) == (1, "")
    assert "category 'gear' is in several roots: parts/gear, more/gear" in err


def test_a_method_is_shown_with_settings_alone(clflow: Command) -> None:
    assert clflow("study", "show", "clflow").code == 2


@pytest.mark.parametrize("command", ["use demo", "check", "show", "save mine"])
def test_outside_of_a_clone(clflow: Command, command: str) -> None:
    Path("params.yaml").unlink()
    code, out, err = clflow("study", *command.split())
    assert (code, out) == (1, "")
    assert err == "error: no params.yaml here: run in the root of a clone of the repository\n"


@pytest.mark.parametrize("command", ["show", "save mine"])
def test_without_results(clflow: Command, command: str) -> None:
    code, out, err = clflow("study", *command.split())
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert "dvc repro" in err


def test_data_that_is_fit_for_a_study(clflow: Command) -> None:
    mvtec_category(Path("parts"), "gear", train=30, good=8, defects={"crack": 8})
    code, out, err = clflow("data", "check", "parts")
    assert (code, err) == (0, "")
    assert "layout mvtec_ad" in out
    assert out.endswith("fit for a study\n")


def test_data_are_read_as_params_say(clflow: Command) -> None:
    category = mvtec_category(Path("parts"), "gear", train=30, good=8, defects={"crack": 8})
    for mask in (category / "ground_truth/crack").iterdir():
        write_png(mask, ~read_mask(mask, (16, 16)))
    code, out, err = clflow("data", "check", "parts")
    assert (code, err) == (1, "")
    assert out.count("set prepare.mask: inverted") == 8
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("prepare: {}", "prepare: {mask: inverted}"))
    assert clflow("data", "check", "parts").code == 0
    params.write_text("prepare: {split: 0.2}\n")
    assert clflow("data", "check", "parts").code == 1


def test_data_that_would_spoil_a_study(clflow: Command) -> None:
    category = flat_category(Path("parts"), "gear")
    (category / "good/000.png").write_bytes(b"no image")
    code, out, err = clflow("data", "check", "parts", "--layout", "folder")
    assert (code, err) == (1, "")
    assert "error: gear: " in out
    assert "mend the errors" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param("absent", "no data folder absent", id="no-folder"),
        pytest.param(". --layout mvtec", "did you mean 'mvtec_ad'?", id="layout"),
    ],
)
def test_data_that_cannot_be_looked_at(clflow: Command, words: str, message: str) -> None:
    code, out, err = clflow("data", "check", *words.split())
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert message in err


def test_tables_of_the_readme_are_checked_and_written(clflow: Command) -> None:
    table = "| x |\n|--:|\n| 1 |"
    Path("summary.md").write_text(f"## First\n\n{table}\n")
    readme = f"First:\n\n<!-- from summary.md -->\n{table}\n<!-- end -->\n"
    Path("README.md").write_text(readme)
    assert clflow("table", "--check") == (0, "README.md: 1 blocks, all as in their files\n", "")
    Path("README.md").write_text(readme.replace("1", "2"))
    code, out, err = clflow("table", "--check")
    assert (code, out) == (1, "")
    assert err.endswith("\n  line 3, First (from summary.md)\n")
    assert clflow("table", "--write") == (0, "README.md: 1 blocks changed\n", "")
    assert Path("README.md").read_text() == readme


@pytest.mark.parametrize("flags", [[], ["--check", "--write"]])
def test_tables_are_either_checked_or_written(clflow: Command, flags: list[str]) -> None:
    assert clflow("table", *flags).code == 2


def test_wrong_usage_is_told_apart_from_a_failed_command(clflow: Command) -> None:
    assert clflow("study", "use", "demo", "--seed", "one").code == 2
    assert clflow("study", "user").code == 2


def test_the_package_runs_as_the_command() -> None:
    words = [sys.executable, "-m", "clflow", "study", "use", "nothing"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: unknown preset 'nothing'")


def test_commands_show_their_progress(clflow: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_shown", False)
    mvtec_category(Path("parts"), "gear", train=30, good=8, defects={"crack": 8})
    out = clflow("data", "check", "parts").out
    assert out.startswith("reading gear: done (46)\n")


def test_the_version_is_told(clflow: Command) -> None:
    assert clflow("--version") == (0, f"clflow {version('clflow')}\n", "")


LOADED = """
import runpy, sys
names = sys.argv.pop(1).split(",")
try:
    runpy.run_module("clflow", run_name="__main__", alter_sys=True)
except SystemExit as stop:
    print(stop.code, *(name for name in names if name in sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [
        pytest.param("--help", "torch,torchvision,timm,numpy,pandas,mlflow,cv2", id="help"),
        pytest.param("--version", "torch,torchvision,timm,numpy,pandas,mlflow,cv2", id="version"),
        pytest.param("synth --help", "torch,numpy,pandas,mlflow,cv2", id="help of a group"),
        pytest.param("study check", "torch,torchvision,timm,mlflow", id="study check"),
        pytest.param("study show --settings", "torch,torchvision,timm,mlflow", id="settings"),
        pytest.param("data check parts", "torch,torchvision,timm,pandas,mlflow", id="data check"),
    ],
)
def test_commands_load_no_library_that_they_do_not_use(
    words: str, unwanted: str, tmp_path: Path
) -> None:
    mvtec_category(tmp_path / "parts", "gear", train=20, good=1, defects={"crack": 1})
    (tmp_path / "params.yaml").write_text(PARAMS, encoding="utf-8")
    command = [sys.executable, "-c", LOADED, unwanted, *words.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == "0\n"


def test_what_a_program_loads_is_seen(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LOADED, "torch,typer", "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == "0 typer\n"
