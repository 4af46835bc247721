"""All settings as `clflow study show --settings` prints them."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from clflow.detectors.registry import METHODS, find_method
from clflow.errors import SettingsError
from clflow.pipeline.listing import list_settings
from clflow.pipeline.params import Params, check_params
from clflow.settings import read_params

PARAMS = Path(__file__).parents[1] / "params.yaml"
MARK = "  # params.yaml"


@pytest.fixture
def values() -> dict[str, Any]:
    return read_params(PARAMS)


def read(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def marked(text: str) -> list[str]:
    """Return the lines that are marked, without mark and indentation."""
    return [line.removesuffix(MARK).strip() for line in text.splitlines() if line.endswith(MARK)]


def test_all_sections_are_complete_and_in_the_order_of_the_file(values: dict[str, Any]) -> None:
    listed = read(list_settings(check_params(values)))
    assert list(listed) == list(Params.model_fields)
    assert listed["study"] == values["study"]
    assert listed["evaluate"]["false_alarm_rate"] == 0.05
    assert list(listed["train"]) == values["study"]["methods"]
    assert listed["train"]["clflow"] == find_method("clflow").complete({})


def test_the_list_is_a_file_of_the_same_settings(values: dict[str, Any]) -> None:
    values["train"]["clflow"] = {"flow": {"steps": 4}}
    text = list_settings(check_params(values))
    again = list_settings(check_params(read(text)))
    assert read(again) == read(text)
    # every value is given now; an empty mapping has no line of its own to mark
    plain = [line for line in again.splitlines() if not line.endswith((MARK, ":", "{}"))]
    assert plain == []


@pytest.mark.parametrize("name", METHODS)
def test_settings_of_a_method_are_complete(name: str, values: dict[str, Any]) -> None:
    values["train"] = {method: {} for method in values["study"]["methods"]}
    text = list_settings(check_params(values), name)
    assert read(text) == {name: find_method(name).complete({})}
    assert marked(text) == []


def test_what_the_file_says_is_marked(values: dict[str, Any]) -> None:
    values["train"] |= {
        "clflow": {"flow": {"steps": 4, "kernels": [1]}, "grid": None},
        "anomalib": {"patchcore": {"parameters": {"coreset_sampling_ratio": 0.01}}},
    }
    values["evaluate"] = {"worst": 2}
    values["synthesize"]["mixture"] = {"nsa": 1.0}
    params = check_params(values)
    text = list_settings(params, "clflow")
    assert marked(text) == ["grid: null", "steps: 4", "kernels: [1]"]
    text = list_settings(params, "anomalib.patchcore")
    assert marked(text) == ["coreset_sampling_ratio: 0.01"]
    whole = marked(list_settings(params))
    for line in ("steps: 4", "worst: 2", "step_fraction: 0.2", "nsa: 1.0", "grid: null"):
        assert whole.count(line) == 1
    assert "sample: 4" not in whole


def test_methods_of_a_library_are_listed_in_one_section(values: dict[str, Any]) -> None:
    values["study"]["methods"] = ["clflow", "anomalib.patchcore"]
    listed = read(list_settings(check_params(values)))
    ratio = listed["train"]["anomalib"]["patchcore"]["parameters"]["coreset_sampling_ratio"]
    assert ratio == 0.01


def test_unknown_method_suggests_the_nearest(values: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="'fastflo': did you mean 'fastflow'"):
        list_settings(check_params(values), "fastflo")
