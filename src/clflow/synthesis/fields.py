"""Types and base models that the settings of generators share."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from clflow.synthesis.labels import LabelKind


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"the lower bound {bounds[0]} exceeds the upper bound {bounds[1]}")
    return bounds


Ascending = AfterValidator(_ascending)
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(gt=0, le=1)]
HalfWidth = Annotated[float, Field(gt=0, le=0.5)]
GreyLevel = Annotated[float, Field(ge=0, le=255)]
HalfWidths = Annotated[tuple[HalfWidth, HalfWidth], Ascending]
Scales = Annotated[tuple[Positive, Positive], Ascending]
Shares = Annotated[tuple[Weight, Weight], Ascending]
Weights = Annotated[tuple[Weight, Weight], Ascending]
BackgroundLevels = tuple[GreyLevel, GreyLevel]
PasteMode = Literal["normal", "mixed", "swap", "interpolate"]


class Frozen(BaseModel):
    """Settings: unknown keys are refused, nothing changes after construction."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelSettings(Frozen):
    """From changed pixels to mask and label.

    tolerance and logistic_x0 are in grey levels; `despeckle` passes the mask through a 5x5 median,
    as NSA does, and would erase anomalies of one or two pixels' width.
    """

    label: LabelKind = "binary"
    logistic_k: Positive = 1 / 6
    logistic_x0: NotNegative = 20.0
    tolerance: NotNegative = 1.0
    despeckle: bool = False
