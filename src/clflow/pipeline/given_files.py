"""Files and folders that `params.yaml` names: told missing before anything long runs."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clflow.detectors.registry import find_method
from clflow.errors import ClflowError, SettingsError
from clflow.features.registry import NAMED_WEIGHTS, check_weight_file
from clflow.pipeline.params import Params
from clflow.settings import list_problems
from clflow.synthesis.textures import texture_folder


def check_files(params: Params) -> None:
    """Look for every file and folder that the settings of a study name.

    Raises:
        SettingsError: those that are missing or of another kind, all at once, each with its path.
    """
    if problems := [*_data_problems(params), *_weight_problems(params)]:
        raise SettingsError(list_problems(problems))


def _data_problems(params: Params) -> Iterator[str]:
    study, archive = params.study, params.download.archive
    if archive is not None and not Path(archive).is_file():
        yield f"download.archive: no such file (it is {archive!r})"
    for name, folder in study.categories.items():
        if study.source == "folder" and not Path(folder).is_dir():
            yield f"study.categories.{name}: no such folder (it is {folder!r})"
    try:
        texture_folder(params.synthesize.textures)
    except ClflowError as error:
        yield str(error)


def _weight_problems(params: Params) -> Iterator[str]:
    for method in params.study.methods:
        complete = find_method(method).complete(params.overrides(method))
        for key, weights in _weights(complete, f"train.{method}"):
            try:
                check_weight_file(Path(weights))
            except SettingsError as error:
                yield f"{key}: {error}"


def _weights(values: Mapping[str, Any], name: str) -> Iterator[tuple[str, str]]:
    """Yield the paths of weights in a method's settings, and the keys where they stand."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _weights(value, f"{name}.{key}")
        elif key == "weights" and isinstance(value, str) and value not in NAMED_WEIGHTS:
            yield f"{name}.{key}", value
