"""Putting a study into `params.yaml` without touching anything else in it."""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from clflow.detectors.registry import method_sections
from clflow.errors import SettingsError
from clflow.files import write_text
from clflow.pipeline.params import check_params
from clflow.settings import read_params
from clflow.study.settings import StudySettings


def rewrite_study(path: Path, study: StudySettings) -> None:
    """Replace the values of the study section; comments and all other lines are kept.

    Methods without a section of their own get an empty one in `train`, and cost is measured on the
    study's first category where it was on one that the study has not.

    Raises:
        SettingsError: the file is missing, has no study section or would not be valid; it is left
            as it was.
    """
    params = read_params(path)
    if not isinstance(params.get("study"), dict):
        raise SettingsError(f"{path} has no study section; restore it with `git checkout {path}`")
    text = path.read_text(encoding="utf-8")
    text += "" if "train" in params else "\ntrain: {}\n"
    document = _yaml().load(text)
    changed, first = ["study"], study.category_names[0]
    _put_study(document["study"], study.model_dump(mode="json"))
    if _add_methods(document, study.methods):
        changed.append("train")
    cost = params.get("cost")
    if isinstance(cost, dict) and cost.get("category", first) not in study.categories:
        document["cost"]["category"] = first
        changed.append("cost")
    rewritten = _replaced(text, document, changed)
    check_params(YAML(typ="safe", pure=True).load(rewritten))
    write_text(path, rewritten)


def _put_study(section: Any, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        section[key] = _like(section.get(key), value) if isinstance(value, list) else value


def _add_methods(document: Any, methods: Iterable[str]) -> bool:
    """Add empty sections of the methods that have none; return whether there were any."""
    train = _mapping_at(document, "train")
    present = {} if train is None else dict(method_sections(train))
    missing = [name for name in methods if name not in present]
    for name in missing:
        *family, own = name.split(".")
        place = train
        for part in family:
            place = _mapping_at(place, part)
        if place is not None:
            place[own] = {}
    return bool(missing)


def _mapping_at(parent: Any, key: str) -> Any:
    """Return the section of a mapping, an empty one in place of nothing, None for a value."""
    if parent is None:
        return None
    if parent.get(key) is None:
        parent[key] = CommentedMap()
    return parent[key] if isinstance(parent[key], dict) else None


def _replaced(text: str, document: Any, names: Iterable[str]) -> str:
    """Return a text with some of its sections as they are in the document."""
    stream = io.StringIO()
    _yaml().dump(document, stream)
    # the dump may lay out other sections anew: of it, only these sections' lines are taken
    dumped = stream.getvalue()
    for name in names:
        before, _, after = _around(text, name)
        text = before + _around(dumped, name)[1] + after
    return text


def _around(text: str, name: str) -> tuple[str, str, str]:
    """Split a document into the lines before a section, its own, and those after it."""
    places = YAML().load(text).lc.data
    lines = text.splitlines(keepends=True)
    start = places[name][0]
    end = min((row for row, *_ in places.values() if row > start), default=len(lines))
    return "".join(lines[:start]), "".join(lines[start:end]), "".join(lines[end:])


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _like(old: object, new: list[object]) -> object:
    """Return the list in the old one's flow style, where it had one."""
    if isinstance(old, list) and hasattr(old, "fa"):
        old[:] = new
        return old
    return new
