import subprocess
import sys
from pathlib import Path

import pytest

from clflow import progress
from clflow.device import core_count, worker_count
from clflow.errors import DataError, SettingsError
from clflow.pipeline.stage import stage
from clflow.settings import read_params

PARAMS = (Path(__file__).parents[1] / "params.yaml").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS, encoding="utf-8")
    return Path("params.yaml")


def test_stage_has_the_study_and_all_sections() -> None:
    with stage() as params:
        assert params.study.model_dump(mode="json") == read_params()["study"]
        assert params.tabulate.digits == 3


def test_stage_shows_its_progress(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_shown", False)
    with stage():
        progress.say("2 images")
    progress.say("hidden")
    assert capsys.readouterr().out == "2 images\n"


def test_slip_in_any_section_ends_every_stage_at_once(
    params: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params.write_text(PARAMS.replace("tabulate: {}", "tabulate: {digits: many}"), encoding="utf-8")
    with pytest.raises(SystemExit) as caught, stage():
        pytest.fail("the stage started")
    assert caught.value.code == 1
    assert capsys.readouterr().err.startswith(
        "error: params.yaml has 1 problem:\n  tabulate.digits"
    )


def test_users_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, stage():
        raise DataError("image 3 is broken")
    assert caught.value.code == 1
    assert capsys.readouterr().err == "error: image 3 is broken\n"


def test_defect_of_the_program_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), stage():
        1 / 0  # noqa: B018


PREPARED = """
import torch
from clflow.device import prepare_torch

prepare_torch()
print(torch.get_deterministic_debug_mode(), torch.utils.deterministic.fill_uninitialized_memory)
"""


def test_torch_refuses_what_varies_and_fills_no_memory() -> None:
    command = [sys.executable, "-c", PREPARED]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout == "2 False\n"


@pytest.mark.parametrize("value", ["1", "12"])
def test_workers_are_as_many_as_asked_for(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLFLOW_WORKERS", value)
    assert worker_count() == int(value)


@pytest.mark.parametrize("value", ["", None])
def test_workers_are_the_cores_otherwise(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLFLOW_WORKERS", raising=False)
    if value is not None:
        monkeypatch.setenv("CLFLOW_WORKERS", value)
    assert worker_count() == core_count()


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_other_numbers_of_workers_are_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLFLOW_WORKERS", value)
    with pytest.raises(SettingsError, match=f"CLFLOW_WORKERS is '{value}': set it to 1 or more"):
        worker_count()
