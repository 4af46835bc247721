"""Perlin-mask texture blending (DRAEM, V. Zavrtanik et al., ICCV 2021)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from clflow.synthesis.background import Decision, object_mask
from clflow.synthesis.blending import interpolate
from clflow.synthesis.labels import Ascending, BackgroundLevels, LabelSettings, Share, SourceKind
from clflow.synthesis.synthetic import Synthetic, check_pair, finish
from clflow.synthesis.textures import change_texture, texture_folder

if TYPE_CHECKING:
    from clflow.synthesis.settings import SynthesizeSettings


Exponent = Annotated[int, Field(ge=0, le=8)]


class PerlinSettings(LabelSettings):
    """From DRAEM: noise with 2^0 to 2^5 cells a side, cut at 0.5, three texture changes of ten.

    transparency is how much of the image shows through the texture; `object_only` keeps anomalies
    off the background of a category that has one.
    """

    scale_exponents: Annotated[tuple[Exponent, Exponent], Ascending] = (0, 5)
    cut: Share = 0.5
    transparency: Annotated[tuple[Share, Share], Ascending] = (0.0, 0.8)
    changes: int = Field(default=3, ge=0, le=10)
    object_only: bool = False


class ResolvedPerlin(PerlinSettings):
    """With what was found for a category.

    background is (brightness, threshold) in grey levels, None where anomalies may lie anywhere;
    textures is the folder of textures, None where they come from the category's other images.
    """

    background: BackgroundLevels | None = None
    textures: str | None = None


def perlin_noise(
    shape: tuple[int, int], cells: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return gradient noise [H, W] with that many cells down and across, about in -1 to 1.

    Unit gradients of uniform direction sit at the corners of the cells; between them the dot
    products are faded by 6t^5 - 15t^4 + 10t^3 (K. Perlin, "Improving noise", SIGGRAPH 2002) and
    scaled by sqrt(2), as DRAEM does.
    """
    angle = rng.uniform(0, 2 * np.pi, (cells[0] + 1, cells[1] + 1))
    down, across = np.sin(angle), np.cos(angle)
    (row, y), (column, x) = (_cell(side, count) for side, count in zip(shape, cells, strict=True))

    def corner(dy: int, dx: int) -> NDArray[np.float64]:
        gradients = (way[row + dy].take(column + dx, axis=1) for way in (down, across))
        along_y, along_x = gradients
        along_y *= (y - dy)[:, None]
        along_x *= x - dx
        return np.add(along_y, along_x, out=along_y)

    fade_y, fade_x = _fade(y)[:, None], _fade(x)
    top = corner(0, 0) + fade_x * (corner(0, 1) - corner(0, 0))
    bottom = corner(1, 0) + fade_x * (corner(1, 1) - corner(1, 0))
    noise: NDArray[np.float64] = np.sqrt(2) * (top + fade_y * (bottom - top))
    return noise


def _cell(side: int, count: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the cell of every pixel and where in it the pixel lies, 0 to 1."""
    place = np.arange(side, dtype=np.float64) * (count / side)
    cell = place.astype(np.intp)
    return cell, place - cell


def _fade(t: NDArray[np.float64]) -> NDArray[np.float64]:
    return t**3 * (t * (6 * t - 15) + 10)


class Perlin:
    """The Perlin generator of the registry."""

    def resolve(self, decision: Decision, settings: "SynthesizeSettings") -> ResolvedPerlin:
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
