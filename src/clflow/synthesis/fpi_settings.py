"""Settings of FPI (jemtan/FPI) and PII (jemtan/PII): squares of another image, left in place."""

from typing import Literal

from clflow.synthesis.fields import HalfWidths, LabelSettings, Share, Weights
from clflow.synthesis.labels import LabelKind


class FPISettings(LabelSettings):
    """Half-widths and `centre`, the central part that holds the centres, are shares of the side."""

    half_width: HalfWidths = (0.05, 0.2)
    centre: Share = 0.8
    factor_bounds: Weights = (0.05, 0.95)
    label: LabelKind = "continuous"


class PIISettings(FPISettings):
    """As FPI, but blended: `clone` says whose gradients a pixel keeps."""

    clone: Literal["normal", "mixed"] = "mixed"
    despeckle: bool = True
