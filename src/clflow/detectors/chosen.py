"""Methods that a section of `params.yaml` chooses from those of the study."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator

from clflow.detectors.registry import METHODS, read_method_file
from clflow.errors import unknown_name
from clflow.study.settings import Name


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise ValueError(f"{repeated[0]!r} is given more than once")
    return names


Methods = Annotated[tuple[Name, ...], AfterValidator(_distinct)]


def stepped_methods() -> tuple[str, ...]:
    """Return the methods whose training can be observed step by step."""
    return tuple(name for name in METHODS if read_method_file(name).length == "training.steps")


def choice_problems(params: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the methods of the sections `optimism` and `cost`."""
    study = _methods(params, "study")
    stepped = stepped_methods()
    for section in ("optimism", "cost"):
        for name in _methods(params, section):
            if name not in METHODS:
                yield f"{section}.methods: {unknown_name('method', name, METHODS)}"
            elif section == "optimism" and name not in stepped:
                yield (
                    f"{section}.methods: {name!r} has no training steps to observe: allowed are "
                    f"{', '.join(stepped)}"
                )
            elif name not in study:
                yield f"{section}.methods: {name!r} is not in study.methods; add or drop it"


def _methods(params: Mapping[str, Any], section: str) -> list[str]:
    values = params.get(section)
    methods = values.get("methods") if isinstance(values, Mapping) else None
    return [str(name) for name in methods] if isinstance(methods, list) else []
