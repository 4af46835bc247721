"""Natural synthetic anomalies (NSA, arXiv 2109.15222): Poisson-blended patches of normal images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clflow.synthesis.background import object_mask
from clflow.synthesis.blend import CloneMode, seamless_clone
from clflow.synthesis.labels import change_mask, make_label, mean_change
from clflow.synthesis.patch import Patch, Scene, sample_patch
from clflow.synthesis.settings import NSASettings, Resolution, SynthesizeSettings, decide_nsa
from clflow.synthesis.synthetic import Synthetic, check_pair, component_boxes


class NSA:
    """The NSA generator of the registry."""

    def resolve(
        self,
        dataset: str,
        category: str,
        settings: SynthesizeSettings,
        images: Sequence[NDArray[np.uint8]],
    ) -> Resolution[NSASettings]:
        """Find the NSA settings of a category; see `decide_nsa`."""
        return decide_nsa(dataset, category, settings, images)

    def load(self, values: Mapping[str, Any]) -> NSASettings:
        """Return the settings that a manifest row holds."""
        return NSASettings.model_validate(values)

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
        image, region, patches = _paste(_scene(destination, source, settings), settings, rng)
        change = mean_change(destination, image, region)
        mask = change_mask(change, settings.tolerance)
        if not mask.any():
            return None
        label = make_label(settings.label, change, mask, settings.logistic_k, settings.logistic_x0)
        return Synthetic(image, mask, label, component_boxes(mask), patches)


def _scene(
    destination: NDArray[np.uint8], source: NDArray[np.uint8], settings: NSASettings
) -> Scene:
    if settings.background is None:
        return Scene(destination, source, None, None)
    objects = (object_mask(image, *settings.background) for image in (destination, source))
    return Scene(destination, source, *objects)


def _paste(
    scene: Scene, settings: NSASettings, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], tuple[dict[str, list[int]], ...]]:
    image, region = scene.destination, np.zeros(scene.shape, bool)
    patches: list[dict[str, list[int]]] = []
    for _ in range(1 + int((rng.random(settings.patches - 1) < 0.5).sum())):
        patch = sample_patch(scene, settings, rng)
        blended = None if patch is None else _blend(image, patch, settings.clone)
        if patch is not None and blended is not None:
            image = blended
            region[patch.window] |= patch.region
            patches.append(patch.numbers())
        elif not patches:
            break
    return image, region, tuple(patches)


def _blend(image: NDArray[np.uint8], patch: Patch, mode: CloneMode) -> NDArray[np.uint8] | None:
    # NSA clones its patch region and whatever is background in both images: the whole rectangle
    rectangle = np.ones(patch.region.shape, bool)
    return seamless_clone(image, patch.pixels, rectangle, patch.corner, mode)
