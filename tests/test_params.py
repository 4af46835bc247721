"""Reading params.yaml, and what is wrong in one section."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from clflow.errors import SettingsError
from clflow.settings import parse, problems_of, read_params, section


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    radius: float = 1.0


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    inner: Inner = Inner()
    optional: Inner | None = None
    several: tuple[Inner, ...] = ()
    count: int


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
