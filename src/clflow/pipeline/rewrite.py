"""Putting a study into `params.yaml` without touching anything else in it."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from clflow.errors import SettingsError
from clflow.files import write_text
from clflow.pipeline.params import check_params
from clflow.settings import read_params
from clflow.study.settings import StudySettings


def rewrite_study(path: Path, study: StudySettings) -> None:
    """Replace the values of the study section; its comments and all other lines are kept.

    Raises:
        SettingsError: the file is missing, has no study section or would not be valid; it is left
            as it was.
    """
    params, values = read_params(path), study.model_dump(mode="json")
    if not isinstance(params.get("study"), dict):
        raise SettingsError(f"{path} has no study section; restore it with `git checkout {path}`")
    check_params(params | {"study": params["study"] | values})
    write_text(path, _with_study(path.read_text(encoding="utf-8"), values))


def _with_study(text: str, values: Mapping[str, Any]) -> str:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    document = yaml.load(text)
    for key, value in values.items():
        old = document["study"].get(key)
        document["study"][key] = _like(old, value) if isinstance(value, list) else value
    stream = io.StringIO()
    yaml.dump(document, stream)
    # the dump may lay out other sections anew: of it, only the study's lines are taken
    before, _, after = _around_study(text)
    _, section, _ = _around_study(stream.getvalue())
    return before + section + after


def _around_study(text: str) -> tuple[str, str, str]:
    """Split a document into the lines before the study section, its own, and those after it."""
    places = YAML().load(text).lc.data
    lines = text.splitlines(keepends=True)
    start = places["study"][0]
    end = min((row for row, *_ in places.values() if row > start), default=len(lines))
    return "".join(lines[:start]), "".join(lines[start:end]), "".join(lines[end:])


def _like(old: object, new: list[object]) -> object:
    """Return the list in the old one's flow style, where it had one."""
    if isinstance(old, list) and hasattr(old, "fa"):
        old[:] = new
        return old
    return new
