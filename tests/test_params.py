from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from clflow.errors import SettingsError
from clflow.params import parse, problems_of, read_params, section
from clflow.schema import check_params

PARAMS = Path(__file__).parents[1] / "params.yaml"


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    radius: float = 1.0


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    inner: Inner = Inner()
    optional: Inner | None = None
    several: tuple[Inner, ...] = ()
    count: int


@pytest.fixture
def params() -> dict[str, Any]:
    return read_params(PARAMS)


def put(params: dict[str, Any], path: str, value: object) -> None:
    *parents, key = path.split(".")
    for part in parents:
        params = params[part]
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
    del params["tabulate"]
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
        pytest.param("tabulate", None, "tabulate: missing section", id="empty-section"),
        pytest.param("prepare", 3, "prepare: must hold keys (it is 3)", id="section-is-a-number"),
        pytest.param("train", None, "train: missing section", id="no-methods"),
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
            "allowed are btad, folder, mvtec_ad, visa",
            id="layout",
        ),
        pytest.param(
            "synthesize.generator",
            "nas",
            "synthesize.generator: unknown generator 'nas': did you mean 'nsa'? allowed are nsa",
            id="generator",
        ),
        pytest.param(
            "train.fast_flow",
            {},
            "train: unknown method 'fast_flow': did you mean 'fastflow'? "
            "allowed are clflow, clflow_paper, fastflow",
            id="method",
        ),
        pytest.param(
            "study.methods",
            ["clflwo"],
            "study.methods: unknown method 'clflwo': did you mean 'clflow'? "
            "allowed are clflow, clflow_paper, fastflow",
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


def test_method_of_the_study_needs_its_section(params: dict[str, Any]) -> None:
    put(params, "study.methods", ["fastflow", "clflow"])
    del params["train"]["clflow"]
    assert problems(params) == ["train.clflow: missing section; study.methods names it"]


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


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param({"count": 1}, [], id="valid"),
        pytest.param({}, ["s.count: missing"], id="missing"),
        pytest.param(
            {"count": 1, "inner": {"radios": 2}},
            ["s.inner.radios: unknown key; did you mean 'radius'?"],
            id="nested",
        ),
        pytest.param(
            {"count": 1, "optional": {"radios": 2}},
            ["s.optional.radios: unknown key"],
            id="no-guess-through-a-union",
        ),
        pytest.param(
            {"count": 1, "several": [{}, {"radios": 2}]},
            ["s.several.1.radios: unknown key"],
            id="no-guess-through-a-list",
        ),
        pytest.param(
            {"count": 1.5, "inner": {"radius": None}},
            [
                "s.inner.radius: Input should be a valid number (it is None)",
                "s.count: Input should be a valid integer, got a number with a fractional part "
                "(it is 1.5)",
            ],
            id="two",
        ),
    ],
)
def test_problems_of_a_model(values: dict[str, Any], expected: list[str]) -> None:
    assert problems_of(Outer, values, "s") == expected


def test_parse_returns_the_model_or_raises_all_problems() -> None:
    assert parse(Outer, {"count": 2}, "s") == Outer(count=2)
    with pytest.raises(SettingsError, match=r"has 2 problems:\n  s\.\w+: .*\n  s\.\w+: "):
        parse(Outer, {"conut": 2}, "s")


def test_sections_are_found_by_dotted_name() -> None:
    params = {"train": {"clflow": {"steps": 1}}}
    assert section(params, "train.clflow") == {"steps": 1}
    for absent in ("study", "train.fastflow", "train.clflow.steps"):
        with pytest.raises(SettingsError, match=f"no section '{absent}'; add it"):
            section(params, absent)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"study: [1\n", "not valid YAML", id="open-bracket"),
        pytest.param(b"a: 1\na: 2\n", "not valid YAML", id="key-given-twice"),
        pytest.param(b"a: \xff\n", "not valid YAML", id="not-utf-8"),
        pytest.param(b"", "must hold sections", id="empty"),
        pytest.param(b"- 1\n", "must hold sections", id="list"),
        pytest.param(None, "run in the root of a clone", id="missing"),
    ],
)
def test_unreadable_file(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "params.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=message):
        read_params(path)


def test_folder_in_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        read_params(tmp_path)
