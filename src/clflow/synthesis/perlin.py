"""Perlin-mask texture blending (DRAEM, V. Zavrtanik et al., ICCV 2021)."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clflow.synthesis.background import object_mask
from clflow.synthesis.categories import Decision
from clflow.synthesis.finish import finish
from clflow.synthesis.noise import perlin_noise
from clflow.synthesis.paste import interpolate
from clflow.synthesis.perlin_settings import ResolvedPerlin
from clflow.synthesis.registry import SourceKind
from clflow.synthesis.settings import SynthesizeSettings
from clflow.synthesis.synthetic import Synthetic, check_pair
from clflow.synthesis.texture_files import texture_folder
from clflow.synthesis.textures import change_texture


class Perlin:
    """The Perlin generator of the registry."""

    def resolve(self, decision: Decision, settings: SynthesizeSettings) -> ResolvedPerlin:
        """Return the settings of the stage with the textures and the background that were found."""
        chosen = settings.perlin
        return ResolvedPerlin(
            **chosen.model_dump(),
            background=decision.background if chosen.object_only else None,
            textures=texture_folder(settings.textures),
        )

    def load(self, values: Mapping[str, Any]) -> ResolvedPerlin:
        """Return the settings that a manifest row holds."""
        return ResolvedPerlin.model_validate(values)

    def source(self, settings: ResolvedPerlin) -> SourceKind:
        """Return which image the texture comes from."""
        return "other" if settings.textures is None else "texture"

    def generate(
        self,
        destination: NDArray[np.uint8],
        source: NDArray[np.uint8],
        settings: ResolvedPerlin,
        rng: np.random.Generator,
    ) -> Synthetic | None:
        """Mix a changed texture `source` [H, W, 3] into `destination` under a mask of noise.

        On a grey image the texture is grey too. Returns None where the mask is empty or nothing
        changes visibly.

        Raises:
            DataError: the images are not uint8 [H, W, 3] of one size.
        """
        check_pair(destination, source)
        region = _region(destination, settings, rng)
        texture = change_texture(source, settings.changes, rng)
        if _is_grey(destination):
            grey = np.asarray(cv2.cvtColor(texture, cv2.COLOR_RGB2GRAY), np.uint8)
            texture = np.repeat(grey[..., None], 3, axis=2)
        opacity = 1 - float(rng.uniform(*settings.transparency))
        image = interpolate(destination, texture, region, opacity)
        return finish(destination, image, region, settings, opacity)


def _region(
    image: NDArray[np.uint8], settings: ResolvedPerlin, rng: np.random.Generator
) -> NDArray[np.bool_]:
    low, high = settings.scale_exponents
    height, width = image.shape[:2]
    down, across = (2 ** int(exponent) for exponent in rng.integers(low, high + 1, 2))
    noise = perlin_noise((height, width), (down, across), rng)
    centre = ((width - 1) / 2, (height - 1) / 2)
    turn = cv2.getRotationMatrix2D(centre, float(rng.uniform(-90, 90)), 1.0)
    region = np.asarray(cv2.warpAffine(noise, turn, (width, height)) > settings.cut)
    if settings.background is None:
        return region
    return region & object_mask(image, *settings.background)


def _is_grey(image: NDArray[np.uint8]) -> bool:
    return bool((image == image[..., :1]).all())
