"""The whole of `params.yaml`: one model, checked before anything long runs.

It checks sections and hands them out. What a section means is decided by its own model, which lies
beside what uses it: a stage's fingerprint does not follow imports from here.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from clflow.data.layouts import layout_names
from clflow.data.preparation import PrepareSettings
from clflow.data.settings import DownloadSettings
from clflow.detectors.registry import METHODS, find_method, method_sections, read_method_file
from clflow.errors import SettingsError, unknown_name
from clflow.pipeline.settings import CostSettings, EvaluateSettings, SelectionBiasSettings
from clflow.report.settings import FiguresSettings, TabulateSettings
from clflow.settings import PARAMS, list_problems, parse, problems_of, read_params
from clflow.study.settings import StudySettings
from clflow.synthesis.registry import GENERATORS, MIXTURE
from clflow.synthesis.settings import SynthesizeSettings


class Params(BaseModel):
    """The sections of `params.yaml`; all but `study` and `train` may be empty or absent.

    `train` holds by method what differs from the method's own file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    study: StudySettings
    download: DownloadSettings = DownloadSettings()
    prepare: PrepareSettings = PrepareSettings()
    synthesize: SynthesizeSettings = SynthesizeSettings()
    train: dict[str, Any]
    evaluate: EvaluateSettings = EvaluateSettings()
    figures: FiguresSettings = FiguresSettings()
    selection_bias: SelectionBiasSettings = SelectionBiasSettings()
    cost: CostSettings = CostSettings()
    tabulate: TabulateSettings = TabulateSettings()

    @field_validator("*", mode="before")
    @classmethod
    def _section(cls, value: Any) -> Any:
        """Take a section without any key for an empty one."""
        if value is None or isinstance(value, Mapping | BaseModel):
            return {} if value is None else value
        raise ValueError("must hold keys")

    def overrides(self, method: str) -> Mapping[str, Any]:
        """Return what `train` says of a method.

        Raises:
            SettingsError: it has no section there.
        """
        sections = dict(method_sections(self.train))
        if method not in sections:
            raise SettingsError(list_problems([_no_section(method)]))
        return sections[method] or {}


def load_params(path: Path = PARAMS) -> Params:
    """Read and check the whole file.

    Raises:
        SettingsError: it is missing or no YAML mapping, or everything that is wrong in it.
    """
    return check_params(read_params(path))


def load_study(path: Path = PARAMS) -> StudySettings:
    """Read the study section alone, whatever else is wrong.

    Raises:
        SettingsError: the file is missing or no YAML mapping, or the section is wrong.
    """
    values = _section(read_params(path), "study")
    return parse(StudySettings, values, "study")


def check_params(values: Mapping[str, Any]) -> Params:
    """Check every section, and that sections fit each other.

    Raises:
        SettingsError: everything that is wrong, at once, each with its path.
    """
    problems = [
        *problems_of(Params, values),
        *_layout_problems(_section(values, "study")),
        *_generator_problems(_section(values, "synthesize")),
        *_train_problems(values),
        *_choice_problems(values),
    ]
    if problems:
        raise SettingsError(list_problems(problems))
    return Params.model_validate(values)


def stepped_methods() -> tuple[str, ...]:
    """Return the methods whose training can be observed step by step."""
    return tuple(name for name in METHODS if read_method_file(name).length == "training.steps")


def _section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}


def _names(section: Mapping[str, Any], key: str) -> list[str]:
    names = section.get(key)
    return [str(name) for name in names] if isinstance(names, list | tuple | dict) else []


def _layout_problems(study: Mapping[str, Any]) -> Iterator[str]:
    layout = study.get("layout")
    if isinstance(layout, str) and layout not in layout_names():
        yield f"study.layout: {unknown_name('layout', layout, layout_names())}"


def _generator_problems(synthesize: Mapping[str, Any]) -> Iterator[str]:
    generator, allowed = synthesize.get("generator"), (*GENERATORS, MIXTURE)
    if isinstance(generator, str) and generator not in allowed:
        yield f"synthesize.generator: {unknown_name('generator', generator, allowed)}"
    for name in _names(synthesize, "mixture"):
        if name not in GENERATORS:
            yield f"synthesize.mixture.{name}: {unknown_name('generator', name, GENERATORS)}"


def _train_problems(values: Mapping[str, Any]) -> Iterator[str]:
    sections = dict(method_sections(_section(values, "train")))
    for name, own in sections.items():
        if name not in METHODS:
            yield f"train: {unknown_name('method', name, METHODS)}"
        elif own is not None and not isinstance(own, Mapping):
            yield f"train.{name}: must hold keys (it is {own!r})"
        else:
            method = find_method(name)
            complete = method.complete(own or {})
            yield from problems_of(method.settings_model, complete, f"train.{name}")
    for name in _names(_section(values, "study"), "methods"):
        if name not in METHODS:
            yield f"study.methods: {unknown_name('method', name, METHODS)}"
        elif name not in sections:
            yield f"{_no_section(name)}; study.methods names it"


def _no_section(method: str) -> str:
    key = method.rpartition(".")[2]
    return (
        f"train.{method}: missing section: write `{key}: {{}}` for its defaults, "
        "as `clflow study use` does"
    )


def _choice_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the sections `selection_bias` and `cost` choose that the study has not."""
    study = _section(values, "study")
    stepped = stepped_methods()
    for section in ("selection_bias", "cost"):
        for name in _names(_section(values, section), "methods"):
            if name not in METHODS:
                yield f"{section}.methods: {unknown_name('method', name, METHODS)}"
            elif section == "selection_bias" and name not in stepped:
                yield (
                    f"{section}.methods: {name!r} has no training steps to observe: allowed are "
                    f"{', '.join(stepped)}"
                )
            elif name not in _names(study, "methods"):
                yield f"{section}.methods: {name!r} is not in study.methods; add or drop it"
    cost = _section(values, "cost")
    category, known = cost.get("category"), _names(study, "categories")
    if cost.get("methods") and category not in known:
        yield f"cost.category: {unknown_name('category', str(category), known)}"
