"""Settings of CutPaste (C.-L. Li et al., CVPR 2021): a patch and a scar of the same image."""

from typing import Annotated

from pydantic import Field

from clflow.synthesis.fields import Ascending, LabelSettings, Positive, Scales, Share, Shares

Pixels = Annotated[tuple[Positive, Positive], Ascending]


class CutPasteSettings(LabelSettings):
    """area is a share of the image, aspect is height over width, jitter the strength of colours."""

    area: Shares = (0.02, 0.15)
    aspect: Scales = (0.3, 3.3)
    jitter: Share = 0.1


class ScarSettings(LabelSettings):
    """width and height in pixels of a 256 px image, scaled with others; rotation in degrees."""

    width: Pixels = (2, 16)
    height: Pixels = (10, 25)
    rotation: float = Field(default=45, ge=0, le=180)
    jitter: Share = 0.1
