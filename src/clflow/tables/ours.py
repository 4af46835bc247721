"""What decides whether a study's values are comparable with others': network, input, images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from clflow.paths import raw_folder
from clflow.study.settings import StudySettings
from clflow.tables.literature import Source

_MISSING = "not stated"


@dataclass(frozen=True)
class Setup:
    """Backbone and input size of a method, None where the settings do not state them."""

    backbone: str | None = None
    image_size: int | None = None

    @property
    def text(self) -> str:
        """Return `efficientnet_lite0 at 256 pixels`."""
        size = f"{self.image_size} pixels" if self.image_size else f"a size {_MISSING}"
        return f"{self.backbone or f'a backbone {_MISSING}'} at {size}"


@dataclass(frozen=True)
class Ours:
    """The setups of a study by method, the fraction of its training, and if a user gave images."""

    setups: Mapping[str, Setup]
    step_fraction: float
    own_folder: bool


def ours_of(study: StudySettings, train: Mapping[str, Any]) -> Ours:
    """Return what a study and the train section say; `anomalib.padim` is padim of anomalib."""
    setups = {method: _setup(_section(train, method)) for method in study.methods}
    given = not Path(study.root).is_relative_to(raw_folder(study.dataset))
    return Ours(setups, study.step_fraction, given)


def reasons(source: Source, method: str, ours: Ours) -> list[str]:
    """Return in what a published value and a method differ or may differ, empty if in nothing."""
    setup, remade = ours.setups[method], method == source.remade_as
    remark = source.remade if remade else source.remark
    found = [
        *([] if remade else _differ("backbone", source.backbone, setup.backbone)),
        *_differ("input size", source.image_size, setup.image_size),
        *([remark] if remark else []),
    ]
    if ours.step_fraction != 1:
        found.append(f"ours trained for {ours.step_fraction:g} of the steps")
    if ours.own_folder:
        found.append("our images are a copy that may be resized")
    return found


def _differ(what: str, theirs: object, own: object) -> Sequence[str]:
    if theirs is None:
        return [f"{what} not known"]
    return [] if theirs == own else [f"{what} {theirs}, ours {own or _MISSING}"]


def _section(train: Mapping[str, Any], method: str) -> Mapping[str, Any]:
    empty: Mapping[str, Any] = {}
    return reduce(lambda part, name: part.get(name) or empty, method.split("."), train)


def _setup(section: Mapping[str, Any]) -> Setup:
    return Setup((section.get("backbone") or {}).get("name"), section.get("image_size"))
