"""The complete settings of a study as YAML, what `params.yaml` says marked."""

import io
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from clflow.detectors.registry import METHODS, find_method, method_sections
from clflow.errors import unknown_name
from clflow.pipeline.params import Params

MARK = "params.yaml"


def list_settings(params: Params, method: str | None = None) -> str:
    """Return all sections, or what `train` comes to for one method, as YAML.

    A value that `params.yaml` gives is marked by a comment; all others are defaults, a method's
    from its own file.

    Raises:
        SettingsError: there is no such method.
    """
    if method is not None and method not in METHODS:
        raise unknown_name("method", method, METHODS)
    own = dict(method_sections(params.train))
    if method is not None:
        return _text(_marked({method: _complete(own, method)}, own))
    methods = {name: _complete(own, name) for name in params.study.methods}
    sections = {
        name: value.model_dump(mode="json") if isinstance(value, BaseModel) else _nested(methods)
        for name, value in params
    }
    given = params.model_dump(mode="json", exclude_unset=True) | {"train": _nested(own)}
    return _text(_marked(sections, given))


def _complete(own: Mapping[str, Any], method: str) -> dict[str, Any]:
    return find_method(method).complete(own.get(method) or {})


def _nested(by_method: Mapping[str, Any]) -> dict[str, Any]:
    """Return sections as `train` holds them, those of a library's methods in one."""
    train: dict[str, Any] = {}
    for name, section in by_method.items():
        *family, key = name.split(".")
        place = train
        for part in family:
            place = place.setdefault(part, {})
        place[key] = section
    return train


def _marked(values: Mapping[str, Any], given: Mapping[str, Any] | None) -> CommentedMap:
    """Return values with a comment behind each that is given."""
    marked = CommentedMap()
    for key, value in values.items():
        own = (given or {}).get(key)
        if isinstance(value, Mapping) and value:
            marked[key] = _marked(value, own if isinstance(own, Mapping) else {})
            continue
        marked[key] = _in_flow(value) if isinstance(value, list | tuple) else value
        if given is not None and key in given:
            marked.yaml_add_eol_comment(MARK, key)
    return marked


def _in_flow(items: list[Any] | tuple[Any, ...]) -> CommentedSeq:
    listed = CommentedSeq(items)
    listed.fa.set_flow_style()
    return listed


def _text(values: CommentedMap) -> str:
    yaml, stream = YAML(), io.StringIO()
    yaml.width = 4096
    yaml.representer.add_representer(
        type(None),
        lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null"),
    )
    yaml.dump(values, stream)
    return re.sub(rf" +(# {MARK})$", r"  \1", stream.getvalue(), flags=re.MULTILINE)
