"""The whole of params.yaml: every problem is named at once, with its path and a remedy."""

from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from clflow.detectors.registry import METHODS
from clflow.errors import SettingsError
from clflow.pipeline.params import check_params
from clflow.settings import read_params
from clflow.synthesis.registry import GENERATORS

PARAMS = Path(__file__).parents[1] / "params.yaml"


@pytest.fixture
def params() -> dict[str, Any]:
    return read_params(PARAMS)


def put(params: dict[str, Any], path: str, value: object) -> None:
    *parents, key = path.split(".")
    for part in parents:
        params = params.setdefault(part, {})
    params[key] = value


def problems(params: dict[str, Any]) -> list[str]:
    """Return the lines of the error, the count checked and left out."""
    with pytest.raises(SettingsError) as caught:
        check_params(params)
    head, *lines = str(caught.value).split("\n  ")
    assert head.startswith(f"params.yaml has {len(lines)} problem")
    return lines


def test_own_params_are_valid(params: dict[str, Any]) -> None:
    check_params(params)


def test_all_problems_are_listed_at_once(params: dict[str, Any]) -> None:
    put(params, "study.seeds", [0, 0])
    put(params, "download.demo.train", 0)
    put(params, "prepare.validation_fractoin", 0.2)
    put(params, "synthesize.per_image", "many")
    put(params, "train.clflow.score.kind", "loud")
    put(params, "train.fastflow.training.steps", None)
    put(params, "evaluate.worst", -1)
    put(params, "tabulate", 3)
    paths = [line.split(": ")[0] for line in problems(params)]
    assert paths == [
        "study.seeds",
        "download.demo.train",
        "prepare.validation_fractoin",
        "synthesize.per_image",
        "evaluate.worst",
        "tabulate",
        "train.fastflow.training.steps",
        "train.clflow.score.kind",
    ]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        pytest.param(
            "prepare.sede", 1, "prepare.sede: unknown key; did you mean 'seed'?", id="near-key"
        ),
        pytest.param("prepare.zzzz", 1, "prepare.zzzz: unknown key", id="far-key"),
        pytest.param(
            "train.clflow.flow.stepz",
            1,
            "train.clflow.flow.stepz: unknown key; did you mean 'steps'?",
            id="nested-key",
        ),
        pytest.param(
            "train.clflow.image_size",
            "big",
            "train.clflow.image_size: Input should be a valid integer, unable to parse string as "
            "an integer (it is 'big')",
            id="wrong-type",
        ),
        pytest.param(
            "train.clflow.score",
            3,
            "train.clflow.score: Input should be a valid dictionary or instance of ScoreSettings "
            "(it is 3)",
            id="value-for-keys",
        ),
        pytest.param("study", None, "study.name: missing", id="empty-study"),
        pytest.param("prepare", 3, "prepare: must hold keys (it is 3)", id="section-is-a-number"),
        pytest.param(
            "train",
            None,
            "train.fastflow: missing section; study.methods names it: write `{}` for its defaults",
            id="no-methods",
        ),
        pytest.param("train", [1], "train: must hold keys (it is [1])", id="train-is-a-list"),
        pytest.param(
            "train.clflow", "x", "train.clflow: must hold keys (it is 'x')", id="method-is-a-word"
        ),
        pytest.param(
            "evalaute", {}, "evalaute: unknown section; did you mean 'evaluate'?", id="near-section"
        ),
        pytest.param("qqqq", {}, "qqqq: unknown section", id="far-section"),
        pytest.param(
            "study.layout",
            "mvtec",
            "study.layout: unknown layout 'mvtec': did you mean 'mvtec_ad'? "
            "allowed are btad, folder, mvtec_ad, table, visa",
            id="layout",
        ),
        pytest.param(
            "synthesize.generator",
            "nas",
            "synthesize.generator: unknown generator 'nas': did you mean 'nsa'? allowed are "
            "cutpaste, cutpaste_scar, fpi, mixture, nsa, perlin, pii",
            id="generator",
        ),
        pytest.param(
            "synthesize.mixture",
            {"nsa": 1.0, "purlin": 0.5},
            "synthesize.mixture.purlin: unknown generator 'purlin': did you mean 'perlin'? "
            "allowed are cutpaste, cutpaste_scar, fpi, nsa, perlin, pii",
            id="generator-of-the-mixture",
        ),
        pytest.param(
            "synthesize.mixture",
            {"mixture": 1.0},
            "synthesize.mixture.mixture: unknown generator 'mixture': "
            "allowed are cutpaste, cutpaste_scar, fpi, nsa, perlin, pii",
            id="mixture-of-a-mixture",
        ),
        pytest.param(
            "synthesize.mixture",
            {"nsa": 0},
            "synthesize.mixture.nsa: Input should be greater than 0 (it is 0)",
            id="weight-of-nothing",
        ),
        pytest.param(
            "synthesize.mixture",
            {},
            "synthesize.mixture: Dictionary should have at least 1 item after validation, not 0",
            id="empty-mixture",
        ),
        pytest.param(
            "synthesize.cutpaste",
            {"aera": [0.1, 0.2]},
            "synthesize.cutpaste.aera: unknown key; did you mean 'area'?",
            id="generator-key",
        ),
        pytest.param(
            "synthesize.fpi",
            {"half_width": [0.3, 0.2]},
            "synthesize.fpi.half_width: the lower bound 0.3 exceeds the upper bound 0.2 "
            "(it is [0.3, 0.2])",
            id="bounds-descend",
        ),
        pytest.param(
            "train.fast_flow",
            {},
            "train: unknown method 'fast_flow': did you mean 'fastflow'? "
            f"allowed are {', '.join(METHODS)}",
            id="method",
        ),
        pytest.param(
            "study.methods",
            ["clflwo"],
            "study.methods: unknown method 'clflwo': did you mean 'clflow'? "
            f"allowed are {', '.join(METHODS)}",
            id="study-method",
        ),
        pytest.param(
            "train.clflow.backbone.name",
            "resnet81",
            "train.clflow: unknown backbone 'resnet81': did you mean 'resnet18'? allowed are "
            "cait_m48_448, deit_base_distilled_patch16_384, efficientnet_lite0, resnet18, "
            "wide_resnet50_2",
            id="backbone",
        ),
        pytest.param(
            "study.name",
            "my study",
            "study.name: String should match pattern '^[A-Za-z0-9][A-Za-z0-9_.-]*$' "
            "(it is 'my study')",
            id="name",
        ),
    ],
)
def test_problem_names_path_value_and_remedy(
    params: dict[str, Any], path: str, value: object, expected: str
) -> None:
    put(params, path, value)
    assert problems(params)[0] == expected


@pytest.mark.parametrize("name", [*GENERATORS, "mixture"])
def test_every_generator_may_be_chosen(params: dict[str, Any], name: str) -> None:
    put(params, "synthesize.generator", name)
    put(params, "synthesize.mixture", dict.fromkeys(GENERATORS, 0.5))
    check_params(params)


def test_method_of_the_study_needs_its_section(params: dict[str, Any]) -> None:
    put(params, "study.methods", ["fastflow", "clflow"])
    del params["train"]["clflow"]
    assert problems(params) == [
        "train.clflow: missing section; study.methods names it: write `{}` for its defaults"
    ]


def test_a_method_may_leave_keys_to_its_defaults(params: dict[str, Any]) -> None:
    put(params, "train.clflow", {"training": {"steps": 3}})
    check_params(params)


def test_methods_that_are_no_names_are_told_not_crashed_on(params: dict[str, Any]) -> None:
    put(params, "study.methods", [["clflow"], {"clflow": 1}])
    assert [line.split(": ")[0] for line in problems(params)][:2] == [
        "study.methods.0",
        "study.methods.1",
    ]


def leaves(values: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(values, dict):
        for key, value in values.items():
            yield from leaves(value, (*path, key))
    yield path


def test_any_section_may_be_anything_without_a_traceback(params: dict[str, Any]) -> None:
    for path in [path for path in leaves(params) if path]:
        for value in ({"a": 1}, [[]], "word", -1.5):
            changed = deepcopy(params)
            put(changed, ".".join(path), value)
            with suppress(SettingsError):
                check_params(changed)
