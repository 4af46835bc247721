"""Reading `params.yaml`: one section, one settings model."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from clflow.errors import SettingsError

PARAMS = Path("params.yaml")

Model = TypeVar("Model", bound=BaseModel)


def read_params(path: Path = PARAMS) -> dict[str, Any]:
    """Return the whole file as plain values.

    Raises:
        SettingsError: the file is missing or is not a YAML mapping.
    """
    try:
        values = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        message = f"no {path} here: run in the root of a clone of the repository"
        raise SettingsError(message) from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}; check rights") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise SettingsError(f"{path} must hold sections such as study and train, not {values!r}")
    return values


def section(params: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a section by its dotted name.

    Raises:
        SettingsError: there is no such section.
    """
    value: Any = params
    for part in name.split("."):
        if not isinstance(value, Mapping) or not isinstance(value.get(part), Mapping):
            raise SettingsError(
                f"params.yaml has no section {name!r}; add it or run `clflow study use`"
            )
        value = value[part]
    return dict(value)


def parse(model: type[Model], values: Mapping[str, Any], name: str) -> Model:
    """Return the settings of a section.

    Raises:
        SettingsError: unknown keys, missing keys and wrong values, all at once, each with its path.
    """
    problems = problems_of(model, values, name)
    if problems:
        raise SettingsError(list_problems(problems))
    return model.model_validate(values)


def problems_of(model: type[BaseModel], values: Mapping[str, Any], name: str = "") -> list[str]:
    """Return a line for each thing wrong in a section, or a whole file, with path and value."""
    try:
        model.model_validate(values)
    except ValidationError as error:
        return [_describe(problem, model, name) for problem in error.errors()]
    return []


def _describe(problem: Any, model: type[BaseModel], name: str) -> str:
    path = ".".join(str(part) for part in (name, *problem["loc"]) if part != "")
    kind = "key" if "." in path else "section"
    if problem["type"] == "extra_forbidden":
        *parents, key = problem["loc"]
        return f"{path}: unknown {kind}{hint(key, _keys(model, parents))}"
    if problem["type"] == "missing":
        return f"{path}: missing" + (" section" if kind == "section" else "")
    text = problem["msg"].removeprefix("Value error, ")
    simple = isinstance(problem["input"], str | int | float | bool | list | None)
    return f"{path}: {text}" + (f" (it is {problem['input']!r})" if simple else "")


def _keys(model: type[BaseModel], parents: list[str | int]) -> list[str]:
    """Return the keys of a nested model, none where the parents lead through a union or a list."""
    for part in parents:
        field = model.model_fields.get(str(part))
        kind = field.annotation if field else None
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return []
        model = kind
    return list(model.model_fields)


def hint(name: object, allowed: Iterable[str]) -> str:
    """Return the question whether the nearest allowed name is meant, empty if none is near."""
    close = get_close_matches(str(name), list(allowed), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def list_problems(problems: list[str], where: str = "params.yaml") -> str:
    """Return the message that names all problems at once."""
    noun = "problem" if len(problems) == 1 else "problems"
    return "\n  ".join([f"{where} has {len(problems)} {noun}:", *problems])
