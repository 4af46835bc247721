"""The complete settings of a study as YAML, what `params.yaml` says marked."""

import io
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
    given = params.model_dump(mode="json", exclude_unset=True)
    methods = (method,) if method is not None else params.study.methods
    train = _trained(params, methods)
    if method is not None:
        return _text(_marked(train, _overrides(params)))
    complete = {
        name: getattr(params, name).model_dump(mode="json")
        for name in type(params).model_fields
        if isinstance(getattr(params, name), BaseModel)
    }
    place = list(type(params).model_fields).index("train")
    sections = list(complete.items())
    sections.insert(place, ("train", train))
    return _text(_marked(dict(sections), given | {"train": _overrides(params)}))


def _trained(params: Params, methods: tuple[str, ...]) -> dict[str, Any]:
    own = _overrides(params)
    return {name: find_method(name).complete(own.get(name) or {}) for name in methods}


def _overrides(params: Params) -> dict[str, Any]:
    return dict(method_sections(params.train))


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
    return stream.getvalue()
