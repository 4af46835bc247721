"""Every generator with settings to test it by, and the images it gets."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from nsa_images import BACKGROUND, OBJECT, TEXTURE, Image, on_plain_ground, textured

from clflow.synthesis.cutpaste import CutPasteSettings, ScarSettings
from clflow.synthesis.fpi import FPISettings, PIISettings
from clflow.synthesis.labels import LabelSettings
from clflow.synthesis.perlin import ResolvedPerlin
from clflow.synthesis.registry import get_generator
from clflow.synthesis.synthetic import Synthetic


@dataclass(frozen=True)
class Case:
    """A generator and its settings."""

    generator: str
    settings: LabelSettings

    def changed(self, **values: Any) -> "Case":
        """Return the case with other settings."""
        return Case(self.generator, self.settings.model_copy(update=values))

    def get(self, name: str) -> Any:
        """Return a setting, None where the generator has none of that name."""
        return getattr(self.settings, name, None)

    @property
    def marks_all(self) -> bool:
        """Whether all that it changes counts: a blend also shades what lies around its shape."""
        blends = self.generator == "nsa" and self.get("clone") in ("normal", "mixed")
        return not blends or (self.get("background") is None and self.get("shape") == "rectangle")

    def images(self, height: int, width: int, seed: int) -> tuple[Image, Image]:
        """Return a destination and a source, the same where the generator wants that."""
        draw = textured if self.get("background") is None else on_plain_ground
        destination, source = draw(height, width, seed), draw(height, width, seed + 1)
        same = get_generator(self.generator).source(self.settings) == "same"
        return destination, destination.copy() if same else source

    def make(self, destination: Image, source: Image, seed: int) -> Synthetic | None:
        """Run the generator."""
        rng = np.random.default_rng(seed)
        return get_generator(self.generator).generate(destination, source, self.settings, rng)

    def first_success(self, side: int = 64) -> tuple[Image, Image, Synthetic]:
        """Return the images of the first seed of 20 that gives an anomaly, and the anomaly."""
        for seed in range(20):
            destination, source = self.images(side, side, seed)
            found = self.make(destination, source, seed)
            if found is not None:
                return destination, source, found
        raise AssertionError("no seed of 20 gives an anomaly")


_TEXTURE, _OBJECT = Case("nsa", TEXTURE), Case("nsa", OBJECT)

CASES = {
    "nsa-texture": _TEXTURE,
    "nsa-object": _OBJECT,
    "nsa-object-without-background": _OBJECT.changed(background=None),
    "nsa-single-patch": _TEXTURE.changed(patches=1),
    "nsa-ellipses": _TEXTURE.changed(shape="ellipses"),
    "nsa-swap": _TEXTURE.changed(clone="swap"),
    "nsa-interpolate": _OBJECT.changed(clone="interpolate", factor_bounds=(0.3, 0.8)),
    "nsa-interpolate-ellipses": _OBJECT.changed(clone="interpolate", shape="ellipses"),
    "nsa-in-place": _TEXTURE.changed(in_place=True, resize_bounds=None),
    "nsa-same-image": _TEXTURE.changed(source="same"),
    "nsa-factor": _TEXTURE.changed(factor_bounds=(0.2, 0.9), clone="normal"),
    "nsa-own-size": _OBJECT.changed(resize_bounds=None, despeckle=False),
    "fpi": Case("fpi", FPISettings()),
    "fpi-despeckled": Case("fpi", FPISettings(despeckle=True, centre=1.0)),
    "pii": Case("pii", PIISettings()),
    "pii-normal": Case("pii", PIISettings(clone="normal", despeckle=False)),
    "cutpaste": Case("cutpaste", CutPasteSettings()),
    "cutpaste-without-jitter": Case("cutpaste", CutPasteSettings(jitter=0)),
    "cutpaste_scar": Case("cutpaste_scar", ScarSettings()),
    "cutpaste_scar-large": Case("cutpaste_scar", ScarSettings(width=(90, 120), height=(90, 120))),
    "perlin": Case("perlin", ResolvedPerlin(despeckle=True)),
    "perlin-on-the-object": Case(
        "perlin", ResolvedPerlin(object_only=True, background=BACKGROUND, cut=0.1)
    ),
}

all_cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
