"""Settings of Perlin-mask texture blending (DRAEM, V. Zavrtanik et al., ICCV 2021)."""

from typing import Annotated

from pydantic import Field

from clflow.synthesis.fields import Ascending, BackgroundLevels, LabelSettings, Share

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
