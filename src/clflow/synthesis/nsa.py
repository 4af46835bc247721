"""Natural synthetic anomalies (NSA, arXiv 2109.15222): Poisson-blended patches of normal images."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clflow.synthesis.background import object_mask
from clflow.synthesis.categories import Decision, class_table
from clflow.synthesis.finish import Patches, finish
from clflow.synthesis.nsa_settings import NSASettings
from clflow.synthesis.paste import paste
from clflow.synthesis.patch import Scene, sample_patch
from clflow.synthesis.registry import SourceKind
from clflow.synthesis.settings import SynthesizeSettings
from clflow.synthesis.synthetic import Synthetic, check_pair


class NSA:
    """The NSA generator of the registry."""

    def resolve(self, decision: Decision, settings: SynthesizeSettings) -> NSASettings:
        """Return the authors' settings of a class, else of its kind, with the user's on top."""
        values = class_table()["kinds"][decision.kind] | decision.row
        values |= {"background": decision.background} | settings.nsa.values()
        return NSASettings.model_validate(values)

    def load(self, values: Mapping[str, Any]) -> NSASettings:
        """Return the settings that a manifest row holds."""
        return NSASettings.model_validate(values)

    def source(self, settings: NSASettings) -> SourceKind:
        """Return which image the patches come from."""
        return settings.source

    def generate(
        self,
        destination: NDArray[np.uint8],
        source: NDArray[np.uint8],
        settings: NSASettings,
        rng: np.random.Generator,
    ) -> Synthetic | None:
        """Blend up to `settings.patches` patches of `source` [H, W, 3] into `destination`.

        Returns None where the first patch finds no place or nothing changes visibly.

        Raises:
            DataError: the images are not uint8 [H, W, 3] of one size.
        """
        check_pair(destination, source)
        factor = _factor(settings, rng)
        scene = _scene(destination, source, settings)
        image, region, patches = _paste_all(scene, settings, factor, rng)
        return finish(destination, image, region, settings, factor, patches)


def _factor(settings: NSASettings, rng: np.random.Generator) -> float:
    low, high = settings.factor_bounds
    return low if low == high else float(rng.uniform(low, high))


def _scene(
    destination: NDArray[np.uint8], source: NDArray[np.uint8], settings: NSASettings
) -> Scene:
    if settings.background is None:
        return Scene(destination, source, None, None)
    objects = (object_mask(image, *settings.background) for image in (destination, source))
    return Scene(destination, source, *objects)


def _paste_all(
    scene: Scene, settings: NSASettings, factor: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], Patches]:
    image, region = scene.destination, np.zeros(scene.shape, bool)
    patches: list[dict[str, list[int]]] = []
    for _ in range(1 + int((rng.random(settings.patches - 1) < 0.5).sum())):
        patch = sample_patch(scene, settings, rng)
        pasted = None if patch is None else paste(image, patch, settings.clone, factor)
        if patch is not None and pasted is not None:
            image = pasted
            region[patch.window] |= patch.region
            patches.append(patch.numbers())
        elif not patches:
            break
    return image, region, tuple(patches)
