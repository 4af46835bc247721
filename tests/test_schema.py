"""The whole of params.yaml: every problem is named at once, with its path and a remedy."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from clflow.detectors.registry import METHODS, method_sections
from clflow.errors import SettingsError
from clflow.pipeline.code import Code
from clflow.pipeline.params import Params, check_params
from clflow.settings import read_params
from clflow.study.settings import StudySettings
from clflow.synthesis.registry import GENERATORS

PARAMS = Path(__file__).parents[1] / "params.yaml"
STAGES = PARAMS.parent / "stages"
OPTIONAL = Params.model_fields.keys() - {"study", "train"}


@pytest.fixture(scope="module")
def code() -> Code:
    return Code()


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
    put(params, "tabulate", [3])
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
        pytest.param(
            "study",
            None,
            "study.name: missing",
            id="no-study",
        ),
        pytest.param("prepare", 3, "prepare: must hold keys (it is 3)", id="section-is-a-number"),
        pytest.param(
            "study.categories",
            ["weave"],
            "study.categories: give each category its folder, such as {bottle: path/to/bottle} "
            "(it is ['weave'])",
            id="list-of-categories",
        ),
        pytest.param(
            "study.categories.weave",
            "parts/weave",
            "study: source is download: category weave must lie in data/raw/demo/images, not in "
            "'parts/weave'; `clflow study use` writes both",
            id="folder-elsewhere",
        ),
        pytest.param("train", [1], "train: must hold keys (it is [1])", id="train-is-a-list"),
        pytest.param(
            "train.clflow", "x", "train.clflow: must hold keys (it is 'x')", id="method-is-a-word"
        ),
        pytest.param(
            "evalaute", {}, "evalaute: unknown section; did you mean 'evaluate'?", id="near-section"
        ),
        pytest.param(
            "evaluate",
            {"threshold_quantile": 0.98},
            "evaluate: threshold_quantile is 0.98, which promised nothing and is gone: write "
            "`false_alarm_rate: 0.02`, the share of good images that may be called anomalous",
            id="former-key",
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
            "synthesize.mixture.nsa",
            0,
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
        "train.clflow: missing section: write `clflow: {}` for its defaults, as `clflow study use` "
        "does; study.methods names it"
    ]
    put(params, "study.methods", ["anomalib.dfm"])
    assert problems(params)[0].startswith(
        "train.anomalib.dfm: missing section: write `dfm: {}` for"
    )
    for absent in (None, {}):
        params["train"] = absent
        assert len(problems(params)) == 1
    del params["train"]
    assert problems(params)[0] == "train: missing section"


def test_all_other_sections_may_be_empty_or_absent(params: dict[str, Any]) -> None:
    defaults = check_params(params | {name: {} for name in OPTIONAL})
    assert check_params(params | dict.fromkeys(OPTIONAL)) == defaults
    absent = {name: params[name] for name in ("study", "train")}
    assert check_params(absent) == defaults


def test_own_params_are_short_and_deviate_where_they_say_so(params: dict[str, Any]) -> None:
    assert len(PARAMS.read_text().splitlines()) <= 100
    checked = check_params(params)
    defaults = check_params({name: params[name] for name in ("study", "train")})
    # the category is a choice, as the study is: no default can know it
    cost = defaults.cost.model_copy(update={"category": "weave"})
    assert checked == defaults.model_copy(update={"cost": cost})
    own = {name: values for name, values in method_sections(params["train"]) if values}
    assert own == {"anomalib.patchcore": {"parameters": {"coreset_sampling_ratio": 0.01}}}


def test_sections_of_methods_are_handed_out(params: dict[str, Any]) -> None:
    put(params, "train.fyd", None)
    checked = check_params(params)
    patchcore = checked.overrides("anomalib.patchcore")
    assert patchcore == {"parameters": {"coreset_sampling_ratio": 0.01}}
    assert checked.overrides("fyd") == {}
    with pytest.raises(SettingsError, match=r"train\.padim: missing section: write `padim: \{\}`"):
        checked.overrides("padim")
    with pytest.raises(SettingsError, match="unknown category 'weav': did you mean 'weave'"):
        checked.study.root_of("weav")


WITHOUT_TORCH = """
import sys
{}
print(*({{"torch", "timm", "mlflow"}} & sys.modules.keys()))
"""


@pytest.mark.parametrize(
    "code",
    [
        "import clflow.detectors.registry",
        "import clflow.pipeline.params",
        "from clflow.pipeline.params import load_params; load_params()",
        "from clflow.pipeline.listing import *; from clflow.pipeline.params import load_params; "
        "list_settings(load_params())",
    ],
)
def test_settings_are_read_without_torch(code: str) -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH.format(code)]
    done = subprocess.run(command, cwd=PARAMS.parent, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


@pytest.mark.parametrize("script", sorted(path.name for path in STAGES.glob("*.py")))
def test_a_stage_runs_the_models_of_the_sections_it_reads(script: str, code: Code) -> None:
    """Else a changed default would change what it writes, and DVC would not run it again."""
    text = (STAGES / script).read_text()
    sections = set(re.findall(r"params\.(\w+)", text)) & Params.model_fields.keys() - {"study"}
    models = {Params.model_fields[name].annotation for name in sections}
    if "root_of" in text:
        models.add(StudySettings)
    method = "clflow" if "method: str" in text else None
    run = code.fingerprint(STAGES / script, method).keys()
    assert {model.__module__ for model in models if model is not None} <= run


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
