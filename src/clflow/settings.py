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
# of a whole file, aliases written out
_VALUES_ALLOWED = 100_000

Model = TypeVar("Model", bound=BaseModel)


def read_params(path: Path = PARAMS) -> dict[str, Any]:
    """Return the whole file as plain values.

    Raises:
        SettingsError: the file is missing or is not a YAML mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = YAML(typ="safe", pure=True).load(text)
        _check_expansion(values, path)
    except FileNotFoundError as error:
        message = f"no {path} here: run in the root of a clone of the repository"
        raise SettingsError(message) from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}; check rights") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid YAML: {error}") from error
    except RecursionError as error:
        raise SettingsError(
            f"{path} is nested too deeply: sections need no more than ten"
        ) from error
    if not isinstance(values, dict):
        raise SettingsError(f"{path} must hold sections such as study and train, not {values!r}")
    return values


def _check_expansion(values: Any, path: Path) -> None:
    """Refuse aliases that make a small file mean very much, or a value that holds itself."""
    sizes: dict[int, int | None] = {}

    def size(value: Any) -> int:
        if not isinstance(value, dict | list):
            return 1
        known = sizes.get(id(value), 0)
        if known is None:
            raise SettingsError(f"{path}: an alias (*) means a value that holds it; write it out")
        if not known:
            sizes[id(value)] = None
            items = value.values() if isinstance(value, dict) else value
            known = sizes[id(value)] = 1 + sum(map(size, items))
        return known

    if (total := size(values)) > _VALUES_ALLOWED:
        raise SettingsError(
            f"{path} comes to {total:,} values, at most {_VALUES_ALLOWED:,} are allowed: "
            "write fewer aliases (*)"
        )


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
        problems = error.errors()
        return [
            _describe(problem, model, name)
            for problem in problems
            if not _follows(problem["type"], problem["loc"], [one["loc"] for one in problems])
        ]
    return []


def _follows(kind: str, place: tuple[int | str, ...], places: list[tuple[int | str, ...]]) -> bool:
    """Return whether a list is called too short only because of what is wrong with its items."""
    inside = (other[: len(place)] == place for other in places if len(other) > len(place))
    return kind == "too_short" and any(inside)


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
