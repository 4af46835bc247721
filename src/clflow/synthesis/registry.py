"""Generators of synthetic anomalies by name, imported only when asked for."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Literal, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from clflow.errors import unknown_name
from clflow.synthesis.categories import Decision
from clflow.synthesis.fields import LabelSettings
from clflow.synthesis.settings import SynthesizeSettings
from clflow.synthesis.synthetic import Synthetic

GENERATORS = {
    "nsa": "clflow.synthesis.nsa:NSA",
    "fpi": "clflow.synthesis.fpi:FPI",
    "pii": "clflow.synthesis.pii:PII",
    "cutpaste": "clflow.synthesis.cutpaste:CutPaste",
    "cutpaste_scar": "clflow.synthesis.cutpaste_scar:CutPasteScar",
    "perlin": "clflow.synthesis.perlin:Perlin",
}
MIXTURE = "mixture"

SourceKind = Literal["other", "same", "texture"]
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


def get_generator(name: str) -> Generator[Any]:
    """Return the generator of that name.

    Raises:
        SettingsError: there is none.
    """
    if name not in GENERATORS:
        raise unknown_name("generator", name, GENERATORS)
    module, attribute = GENERATORS[name].split(":")
    return cast(Generator[Any], getattr(import_module(module), attribute)())
