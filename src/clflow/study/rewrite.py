"""Putting a study into `params.yaml` without touching anything else in it."""

import io
from pathlib import Path

from ruamel.yaml import YAML

from clflow.errors import SettingsError
from clflow.files import write_text
from clflow.study.settings import StudySettings


def rewrite_study(path: Path, study: StudySettings) -> None:
    """Replace the values of the study section; comments and all other sections are kept.

    Raises:
        SettingsError: the file is missing or has no study section.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    if not path.is_file():
        raise SettingsError(f"no {path} here: run in the root of a clone of the repository")
    document = yaml.load(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or not isinstance(document.get("study"), dict):
        raise SettingsError(f"{path} has no study section; restore it with `git checkout {path}`")
    for key, value in study.model_dump(mode="json").items():
        old = document["study"].get(key)
        if isinstance(value, list):
            value = _like(old, value)
        document["study"][key] = value
    text = io.StringIO()
    yaml.dump(document, text)
    write_text(path, text.getvalue())


def _like(old: object, new: list[object]) -> object:
    """Return the list in the old one's flow style, where it had one."""
    if isinstance(old, list) and hasattr(old, "fa"):
        del old[:]
        old.extend(new)
        return old
    return new
