"""A finished study's numbers, kept in the repository: tables, metrics, settings, versions."""

import os
import platform
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from clflow.detectors.registry import find_method
from clflow.errors import DataError, SettingsError
from clflow.files import atomic_folder, write_json, write_text
from clflow.pipeline.params import Params, load_params
from clflow.progress import say
from clflow.report import latex, markdown
from clflow.report.diagnosis import Places, places_of, read_diagnoses
from clflow.report.evidence import Diagnosis
from clflow.report.results import csv_text, load_results, read_results, read_scores, saved_scores
from clflow.report.settings import TabulateSettings
from clflow.report.tables import Sources
from clflow.settings import PARAMS
from clflow.study.paths import LATEX, MARKDOWN, RESULTS, TABLE_FILES, TABLES, StudyPaths
from clflow.study.runs import read_runs, run_file
from clflow.study.settings import StudySettings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SCORE_LIMIT_BYTES = 1_000_000
_PACKAGES = (
    "clflow",
    "dvc",
    "FrEIA",
    "mlflow",
    "numpy",
    "opencv-python",
    "pandas",
    "scikit-learn",
    "scipy",
    "timm",
    "torch",
    "torchvision",
)


@dataclass(frozen=True)
class Finished:
    """Where a finished study's files are; without others, those of the study in `params`."""

    params: Path = PARAMS
    tables: Path = TABLES
    results: Path | None = None
    scores: Path | None = None
    diagnoses: Places | None = None
    lock: Path = Path("dvc.lock")


HERE = Finished()


def save_study(
    name: str,
    out_root: Path,
    finished: Finished = HERE,
    command_note: str | None = None,
    *,
    replace: bool = False,
) -> Path:
    """Copy the numbers of the study in `params` to `out_root`/`name`, and return that folder.

    Tables, cost and selection bias where they were measured, run files, raw image scores, the
    study, the complete settings of its methods and of its tables, the lock file that names every
    file by its hash, and the versions of this installation are saved, never an image or a model.
    Scores of more than a megabyte are left out, and said so.

    Raises:
        SettingsError: a bad or taken name, unreadable params, or a study that is not finished.
    """
    folder = _free_folder(out_root, name, replace)
    params = load_params(finished.params)
    study, paths = params.study, StudyPaths(params.study.name)
    results = finished.results or paths.results
    sources = Sources(results, finished.scores or paths.all_scores)
    _check_finished(study, finished.tables, results)
    texts = _score_texts(study, sources)
    places = finished.diagnoses or places_of(study.name)
    found = _diagnoses(study, params.tabulate, finished.tables, places)
    with atomic_folder(folder) as partial:
        for file in TABLE_FILES:
            shutil.copyfile(finished.tables / file, partial / file)
        _add_diagnoses(found, study.name, partial)
        _copy_runs(study, results, partial / "runs")
        for category, text in texts.items():
            write_text(partial / "scores" / f"{category}.csv", text)
        _write_yaml(partial / "study.yaml", _without_machine_paths(_settings(params)))
        if finished.lock.is_file():
            _write_yaml(partial / finished.lock.name, _without_machine_paths(_read(finished.lock)))
        write_json(partial / "environment.json", _environment(command_note))
    return folder


def _settings(params: Params) -> dict[str, Any]:
    methods = {name: find_method(name) for name in params.study.methods}
    return {
        "study": params.study.model_dump(mode="json"),
        "train": {
            name: method.complete(params.overrides(name)) for name, method in methods.items()
        },
        "tabulate": params.tabulate.model_dump(mode="json"),
    }


def _free_folder(out_root: Path, name: str, replace: bool) -> Path:
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"study name {name!r} must be 1 to 64 letters, digits, dots, dashes or underscores "
            "and start with a letter or digit"
        )
    folder = out_root / name
    if folder.exists() and not replace:
        raise SettingsError(f"{folder} exists; choose another name or ask to replace it")
    return folder


def _check_finished(study: StudySettings, tables: Path, results: Path) -> None:
    for file in TABLE_FILES:
        if not (tables / file).is_file():
            raise SettingsError(
                f"study {study.name!r} is not finished: {tables / file} is missing; run `dvc repro`"
            )
    if results.name != study.name:
        raise SettingsError(f"{results} is not the results folder of the study {study.name!r}")
    try:
        frame = read_results(results, study.category_names, study.methods, study.seeds)
    except DataError as error:
        raise SettingsError(f"study {study.name!r} is not finished: {error}") from error
    if (tables / RESULTS).read_bytes() != csv_text(frame).encode():
        raise SettingsError(
            f"{tables / RESULTS} does not hold the results of study {study.name!r}; run `dvc repro`"
        )


def _score_texts(study: StudySettings, sources: Sources) -> dict[str, str]:
    try:
        runs = read_runs(sources.results, study.category_names, study.methods, study.seeds)
        texts = saved_scores(read_scores(sources.scores, runs))
    except DataError as error:
        raise SettingsError(f"study {study.name!r} is not finished: {error}") from error
    size = sum(len(text.encode()) for text in texts.values())
    if size > _SCORE_LIMIT_BYTES:
        say(f"raw scores are left out: {size:,} bytes, {_SCORE_LIMIT_BYTES:,} are allowed")
        return {}
    return texts


def _diagnoses(
    study: StudySettings, settings: TabulateSettings, tables: Path, places: Places
) -> list[Diagnosis]:
    try:
        return read_diagnoses(study, places, load_results(tables / RESULTS), settings.digits)
    except DataError as error:
        raise SettingsError(f"study {study.name!r} cannot be saved: {error}") from error


def _add_diagnoses(found: Sequence[Diagnosis], study: str, folder: Path) -> None:
    for diagnosis in found:
        write_text(folder / f"{diagnosis.name}.csv", csv_text(diagnosis.values))
        for name, text in (
            (MARKDOWN, markdown.diagnosis_text(diagnosis)),
            (LATEX, latex.diagnosis_text(diagnosis, study)),
        ):
            before = (folder / name).read_text(encoding="utf-8")
            write_text(folder / name, f"{before}\n{text}")


def _copy_runs(study: StudySettings, results: Path, out: Path) -> None:
    for method in study.methods:
        (out / method).mkdir(parents=True)
        for category in study.categories:
            source = run_file(results, method, category)
            shutil.copyfile(source, run_file(out, method, category))


def _without_machine_paths(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_machine_paths(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_machine_paths(item) for item in value]
    if isinstance(value, str):
        for path in (PurePosixPath(value), PureWindowsPath(value)):
            if path.is_absolute() or {"~", ".."} & set(path.parts):
                return path.name
    return value


def _read(lock: Path) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(lock)
    except YAMLError as error:
        raise SettingsError(f"{lock} is not valid YAML: run `dvc repro`") from error


def _write_yaml(path: Path, value: Any) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        YAML().dump(value, file)


def _environment(command_note: str | None) -> dict[str, Any]:
    return {
        "cpu_count": os.cpu_count(),
        "note": command_note,
        "platform": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {package: version(package) for package in _PACKAGES},
    }
