"""What is done with a category: its kind, generator, epochs, rotation and inputs, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML

from clflow.detectors.nsa.settings import AnomalySettings, InputSettings, NSADetectorSettings
from clflow.synthesis.background import MEASURED_IMAGES, Kind, decide, spread
from clflow.synthesis.nsa import NSAOverrides
from clflow.synthesis.registry import Member, find_members
from clflow.synthesis.settings import SynthesizeSettings
from clflow.synthesis.training_data import Category


@dataclass(frozen=True)
class Inputs:
    """The number of channels, 1 or 3, and whether they are standardised as ImageNet's are."""

    channels: int = 3
    standardised: bool = True

    @property
    def text(self) -> str:
        """Return `1 channel, not standardised`."""
        channels = "1 channel" if self.channels == 1 else f"{self.channels} channels"
        return f"{channels}, {'' if self.standardised else 'not '}standardised"


def choose_inputs(row: Mapping[str, Any], settings: InputSettings) -> Inputs:
    """Return what is set; where that is `auto` what the class table's row says, else the usual."""
    usual = Inputs()
    channels, standardise = settings.channels, settings.standardise
    return Inputs(
        row.get("channels", usual.channels) if channels == "auto" else channels,
        row.get("standardise", usual.standardised) if standardise == "auto" else standardise,
    )


USUAL_EPOCHS = 320
# the authors' longest run, a chest X-ray list of 1,973 images, shows 240 times as many
MOST_IMAGES_SHOWN = 473_520


@dataclass(frozen=True)
class Plan:
    """Decided before training; `reason` is for the user."""

    kind: Kind
    member: Member
    epochs: int
    rotation: float
    inputs: Inputs
    reason: str


def make_plan(
    category: Category | None, images: NDArray[np.uint8], settings: NSADetectorSettings
) -> Plan:
    """Return the plan for a category and its good images uint8 [N, H, W, 3].

    Without a category nothing is looked up in tables and the images decide on the kind.
    """
    known = category or _measured(images)
    row = class_table().get(known.dataset, {}).get(known.name, {})
    epochs, why = _epochs(row, len(images), settings)
    training = settings.training
    rotation = row.get("rotation", 0.0) if training.rotation == "auto" else training.rotation
    inputs = choose_inputs(row, settings.input)
    shown = f"turns of {rotation:g} degrees; {inputs.text}"
    reason = f"{known.decision.reason}; {epochs} epochs, {why}; {shown}"
    member = _member(known, settings)
    return Plan(known.decision.kind, member, epochs, float(rotation), inputs, reason)


def _measured(images: NDArray[np.uint8]) -> Category:
    settings = SynthesizeSettings()
    decision = decide("", "", settings, spread(list(images), MEASURED_IMAGES))
    return Category("", "", decision, settings)


def _member(category: Category, settings: NSADetectorSettings) -> Member:
    own: AnomalySettings = settings.anomalies
    study = category.synthesize
    overrides = NSAOverrides.model_validate(
        study.nsa.model_dump(exclude_none=True) | own.nsa.model_dump(exclude_none=True)
    )
    changes = {"generator": own.generator, "label": settings.label, "nsa": overrides}
    (member,) = find_members(category.decision, study.model_copy(update=changes))
    return member


def _epochs(row: dict[str, Any], images: int, settings: NSADetectorSettings) -> tuple[int, str]:
    asked, percent = settings.training.epochs, settings.training.percent
    if asked != "auto":
        whole, why = asked, "set by training.epochs"
    elif "epochs" in row:
        whole, why = row["epochs"], "the authors' for this class"
    else:
        whole = max(1, min(USUAL_EPOCHS, MOST_IMAGES_SHOWN // images))
        why = f"the usual number, at most {MOST_IMAGES_SHOWN:,} images"
    share = "" if percent == 100 else f", {percent} % of {whole}"
    return max(1, round(percent * whole / 100)), why + share


@cache
def class_table() -> dict[str, dict[str, dict[str, Any]]]:
    """Return epochs, rotation and inputs by data set and class, from `classes.yaml`."""
    text = (files("clflow.detectors.nsa") / "classes.yaml").read_text(encoding="utf-8")
    table: dict[str, dict[str, dict[str, Any]]] = YAML(typ="safe").load(text)
    return table
