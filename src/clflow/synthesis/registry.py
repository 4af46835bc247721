"""The generators a bank draws from, each with its weight and its settings for the category."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from clflow.errors import SettingsError, unknown_name
from clflow.synthesis.background import Decision
from clflow.synthesis.cutpaste import CutPaste, CutPasteScar
from clflow.synthesis.fpi import FPI, PII
from clflow.synthesis.labels import LabelSettings, SourceKind
from clflow.synthesis.nsa import NSA
from clflow.synthesis.perlin import Perlin
from clflow.synthesis.settings import SynthesizeSettings
from clflow.synthesis.synthetic import Synthetic

MIXTURE = "mixture"

Settings = TypeVar("Settings", bound=LabelSettings)


class Generator(Protocol[Settings]):
    """Makes synthetic anomalies with settings of its own type."""

    def resolve(self, decision: Decision, settings: SynthesizeSettings) -> Settings:
        """Find this generator's settings for a category."""

    def load(self, values: Mapping[str, Any]) -> Settings:
        """Return the settings that a manifest row holds."""

    def source(self, settings: Settings) -> SourceKind:
        """Say which image `generate` takes: another of the split, the same, or a texture."""

    def generate(
        self,
        destination: NDArray[np.uint8],
        source: NDArray[np.uint8],
        settings: Settings,
        rng: np.random.Generator,
    ) -> Synthetic | None:
        """Return `destination` [H, W, 3] with an anomaly taken from `source` [H, W, 3].

        None means that no place was found: a failure, never an anomaly. Neither image is modified.
        """


GENERATORS: dict[str, Callable[[], Generator[Any]]] = {
    "nsa": NSA,
    "fpi": FPI,
    "pii": PII,
    "cutpaste": CutPaste,
    "cutpaste_scar": CutPasteScar,
    "perlin": Perlin,
}


def get_generator(name: str) -> Generator[Any]:
    """Return the generator of that name.

    Raises:
        SettingsError: there is none.
    """
    if name not in GENERATORS:
        raise unknown_name("generator", name, GENERATORS)
    return GENERATORS[name]()


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
