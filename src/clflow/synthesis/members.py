"""The generators a bank draws from, each with its weight and its settings for the category."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clflow.errors import SettingsError
from clflow.synthesis.categories import Decision
from clflow.synthesis.fields import LabelSettings
from clflow.synthesis.registry import MIXTURE, SourceKind, get_generator
from clflow.synthesis.settings import SynthesizeSettings


@dataclass(frozen=True)
class Member:
    """A generator with its settings; the weights of all members sum to 1."""

    generator: str
    weight: float
    settings: LabelSettings
    source: SourceKind


def find_members(decision: Decision, settings: SynthesizeSettings) -> tuple[Member, ...]:
    """Return the one generator that was chosen, or those of the mixture.

    Raises:
        SettingsError: a generator is unknown.
    """
    weights = {settings.generator: 1.0}
    if settings.generator == MIXTURE:
        weights = dict(settings.mixture)
    total = sum(weights.values())
    return tuple(_member(name, w / total, decision, settings) for name, w in weights.items())


def choose_member(members: Sequence[Member], rng: np.random.Generator) -> Member:
    """Draw a member by weight.

    Raises:
        SettingsError: there is none.
    """
    if not members:
        raise SettingsError("synthesize.mixture is empty: give at least one generator a weight")
    return members[int(rng.choice(len(members), p=[member.weight for member in members]))]


def _member(name: str, weight: float, decision: Decision, settings: SynthesizeSettings) -> Member:
    generator = get_generator(name)
    own = generator.resolve(decision, settings)
    if settings.label != "auto":
        own = own.model_copy(update={"label": settings.label})
    return Member(name, weight, own, generator.source(own))
