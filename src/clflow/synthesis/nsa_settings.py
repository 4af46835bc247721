"""Settings of the NSA generator (arXiv 2109.15222) and of its switches."""

from typing import Literal, Self

from pydantic import Field, model_validator

from clflow.synthesis.fields import (
    BackgroundLevels,
    Frozen,
    HalfWidths,
    LabelSettings,
    NotNegative,
    PasteMode,
    Positive,
    Scales,
    Share,
    Weights,
)
from clflow.synthesis.labels import LabelKind
from clflow.synthesis.shapes import PatchShape

SourceImage = Literal["other", "same"]

_RESIZED_IN_PLACE = "in_place leaves patches where they are: set resize_bounds to none"


class NSASettings(LabelSettings):
    """Everything that, with two images and a seed, decides an NSA anomaly (arXiv 2109.15222).

    Bounds are half-widths of a patch as fractions of the image side; `background` is (brightness,
    threshold) in grey levels, None where no object is told from it; resize_bounds None keeps a
    patch's size; `in_place` leaves it where it was taken. `factor_bounds` is the weight of a patch:
    of its pixels where it is interpolated, of its gradients where it is blended.
    """

    height_bounds: HalfWidths = (0.03, 0.4)
    width_bounds: HalfWidths = (0.03, 0.4)
    patches: int = Field(default=3, ge=1)
    resize_bounds: Scales | None = (0.7, 1.3)
    clone: PasteMode = "normal"
    shape: PatchShape = "rectangle"
    source: SourceImage = "other"
    in_place: bool = False
    factor_bounds: Weights = (1.0, 1.0)
    background: BackgroundLevels | None = None
    minimum_object: Share = 0.25
    minimum_overlap: Share = 0.25
    label: LabelKind = "logistic"
    gamma_shape: Positive = 2.0
    gamma_scale: Positive = 0.05
    gamma_offset: NotNegative = 0.03
    despeckle: bool = True

    @model_validator(mode="after")
    def _patch_in_place_keeps_its_size(self) -> Self:
        if self.in_place and self.resize_bounds is not None:
            raise ValueError(_RESIZED_IN_PLACE)
        return self


class NSAOverrides(Frozen):
    """NSA settings that replace the category's own; None keeps the category's, "none" has none."""

    height_bounds: HalfWidths | None = None
    width_bounds: HalfWidths | None = None
    patches: int | None = Field(default=None, ge=1)
    resize_bounds: Scales | Literal["none"] | None = None
    clone: PasteMode | None = None
    shape: PatchShape | None = None
    source: SourceImage | None = None
    in_place: bool | None = None
    factor_bounds: Weights | None = None
    background: BackgroundLevels | Literal["none"] | None = None
    minimum_object: Share | None = None
    minimum_overlap: Share | None = None
    label: LabelKind | None = None
    logistic_k: Positive | None = None
    logistic_x0: NotNegative | None = None
    gamma_shape: Positive | None = None
    gamma_scale: Positive | None = None
    gamma_offset: NotNegative | None = None
    tolerance: NotNegative | None = None
    despeckle: bool | None = None

    @model_validator(mode="after")
    def _patch_in_place_keeps_its_size(self) -> Self:
        # every category resizes unless told otherwise
        if self.in_place and self.resize_bounds != "none":
            raise ValueError(_RESIZED_IN_PLACE)
        return self

    def values(self) -> dict[str, object]:
        """Return what is overridden."""
        chosen = self.model_dump(exclude_none=True)
        return {name: None if value == "none" else value for name, value in chosen.items()}
