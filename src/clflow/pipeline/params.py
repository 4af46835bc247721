"""The whole of `params.yaml`, checked before anything long runs.

Stages import this lazily: it can stop a stage, it cannot change what a stage writes.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from clflow.data.assessment import PrepareSettings
from clflow.data.layouts import layout_names
from clflow.data.settings import DownloadSettings
from clflow.detectors.registry import METHODS, find_method, method_sections
from clflow.errors import SettingsError, unknown_name
from clflow.pipeline.settings import (
    CostSettings,
    EvaluateSettings,
    SelectionBiasSettings,
    choice_problems,
)
from clflow.report.settings import FiguresSettings, TabulateSettings
from clflow.settings import hint, list_problems, problems_of
from clflow.study.settings import StudySettings
from clflow.synthesis.registry import GENERATORS, MIXTURE
from clflow.synthesis.settings import SynthesizeSettings

SECTIONS: dict[str, type[BaseModel]] = {
    "study": StudySettings,
    "download": DownloadSettings,
    "prepare": PrepareSettings,
    "synthesize": SynthesizeSettings,
    "evaluate": EvaluateSettings,
    "figures": FiguresSettings,
    "selection_bias": SelectionBiasSettings,
    "cost": CostSettings,
    "tabulate": TabulateSettings,
}


def check_params(params: Mapping[str, Any]) -> None:
    """Check every section.

    Raises:
        SettingsError: everything that is wrong, at once, each with its path.
    """
    problems = list(_problems(params))
    if problems:
        raise SettingsError(list_problems(problems))


def _problems(params: Mapping[str, Any]) -> Iterator[str]:
    known = [*SECTIONS, "train"]
    for name in params:
        if name not in known:
            yield f"{name}: unknown section{hint(name, known)}"
    for name, model in SECTIONS.items():
        yield from _section_problems(params, name, model)
    yield from _name_problems(params)
    yield from _train_problems(params)
    yield from choice_problems(params)


def _section_problems(
    params: Mapping[str, Any], name: str, model: type[BaseModel]
) -> Iterator[str]:
    values = params.get(name)
    if isinstance(values, Mapping):
        yield from problems_of(model, values, name)
    else:
        yield _no_section(name, values)


def _no_section(name: str, values: object) -> str:
    if values is None:
        return f"{name}: missing section"
    return f"{name}: must hold keys (it is {values!r})"


def _name_problems(params: Mapping[str, Any]) -> Iterator[str]:
    study = params.get("study")
    layout = study.get("layout") if isinstance(study, Mapping) else None
    if isinstance(layout, str) and layout not in layout_names():
        yield f"study.layout: {unknown_name('layout', layout, layout_names())}"
    synthesize = params.get("synthesize")
    if isinstance(synthesize, Mapping):
        yield from _generator_problems(synthesize)


def _generator_problems(synthesize: Mapping[str, Any]) -> Iterator[str]:
    generator, allowed = synthesize.get("generator"), (*GENERATORS, MIXTURE)
    if isinstance(generator, str) and generator not in allowed:
        yield f"synthesize.generator: {unknown_name('generator', generator, allowed)}"
    mixture = synthesize.get("mixture")
    for name in mixture if isinstance(mixture, Mapping) else ():
        if isinstance(name, str) and name not in GENERATORS:
            yield f"synthesize.mixture.{name}: {unknown_name('generator', name, GENERATORS)}"


def _train_problems(params: Mapping[str, Any]) -> Iterator[str]:
    sections = params.get("train")
    if not isinstance(sections, Mapping):
        yield _no_section("train", sections)
        return
    by_method = dict(method_sections(sections))
    for name, values in by_method.items():
        if name not in METHODS:
            yield f"train: {unknown_name('method', name, METHODS)}"
        elif not isinstance(values, Mapping):
            yield _no_section(f"train.{name}", values)
        else:
            method = find_method(name)
            yield from problems_of(method.settings_model, method.complete(values), f"train.{name}")
    yield from _study_methods(params, by_method)


def _study_methods(params: Mapping[str, Any], sections: Mapping[str, Any]) -> Iterator[str]:
    study = params.get("study")
    methods = study.get("methods") if isinstance(study, Mapping) else None
    for name in map(str, methods if isinstance(methods, list) else []):
        if name not in METHODS:
            yield f"study.methods: {unknown_name('method', name, METHODS)}"
        elif name not in sections:
            yield f"train.{name}: missing section; study.methods names it"
