"""Generators of synthetic anomalies by name, imported only when asked for."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from clflow.errors import unknown_name
from clflow.synthesis.settings import Resolution, SynthesizeSettings
from clflow.synthesis.synthetic import Synthetic

GENERATORS = {"nsa": "clflow.synthesis.nsa:NSA"}

Settings = TypeVar("Settings", bound=BaseModel)


class Generator(Protocol[Settings]):
    """Makes synthetic anomalies with settings of its own type."""

    def resolve(
        self,
        dataset: str,
        category: str,
        settings: SynthesizeSettings,
        images: Sequence[NDArray[np.uint8]],
    ) -> Resolution[Settings]:
        """Find this generator's settings for a category, given some training images [H, W, 3]."""

    def load(self, values: Mapping[str, Any]) -> Settings:
        """Return the settings that a manifest row holds."""

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
