"""Settings of the evaluate stage."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class EvaluateSettings(BaseModel):
    """How a trained model is measured.

    `masks` compares maps and masks at the detector's `input` size (masks resized by nearest
    neighbour) or at the masks' `native` size (maps interpolated bilinearly). `threshold_quantile`
    of the scores of held-out good images is the decision threshold. `worst` and `sample` are how
    many pictures of errors and of a fixed sample are kept.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    masks: Literal["input", "native"] = "input"
    threshold_quantile: float = Field(default=0.95, gt=0, le=1)
    worst: int = Field(default=4, ge=0)
    sample: int = Field(default=4, ge=0)
