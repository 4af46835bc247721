"""Settings of the synthesize stage, and how a category's own are found."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from ruamel.yaml import YAML

from clflow.synthesis.background import Background, Kind, measure_background
from clflow.synthesis.blend import CloneMode
from clflow.synthesis.labels import LabelKind

Settings = TypeVar("Settings", bound=BaseModel, covariant=True)


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"the lower bound {bounds[0]} exceeds the upper bound {bounds[1]}")
    return bounds


Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
HalfWidth = Annotated[float, Field(gt=0, le=0.5)]
HalfWidths = Annotated[tuple[HalfWidth, HalfWidth], AfterValidator(_ascending)]
Scales = Annotated[tuple[Positive, Positive], AfterValidator(_ascending)]
GreyLevel = Annotated[float, Field(ge=0, le=255)]
BackgroundLevels = tuple[GreyLevel, GreyLevel]


class NSASettings(BaseModel):
    """Everything that, with two images and a seed, decides an NSA anomaly (arXiv 2109.15222).

    Bounds are half-widths of a patch as fractions of the image side; `background` is (brightness,
    threshold) in grey levels, None where no object is told from it; tolerance is in grey levels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    height_bounds: HalfWidths = (0.03, 0.4)
    width_bounds: HalfWidths = (0.03, 0.4)
    patches: int = Field(default=3, ge=1)
    resize_bounds: Scales = (0.7, 1.3)
    clone: CloneMode = "normal"
    background: BackgroundLevels | None = None
    minimum_object: Share = 0.25
    minimum_overlap: Share = 0.25
    label: LabelKind = "logistic"
    logistic_k: Positive = 1 / 6
    logistic_x0: NotNegative = 20.0
    gamma_shape: Positive = 2.0
    gamma_scale: Positive = 0.05
    gamma_offset: NotNegative = 0.03
    tolerance: NotNegative = 1.0


class NSAOverrides(BaseModel):
    """NSA settings that replace the category's own; None keeps the category's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    height_bounds: HalfWidths | None = None
    width_bounds: HalfWidths | None = None
    patches: int | None = Field(default=None, ge=1)
    resize_bounds: Scales | None = None
    clone: CloneMode | None = None
    background: BackgroundLevels | Literal["none"] | None = None
    minimum_object: Share | None = None
    minimum_overlap: Share | None = None
    logistic_k: Positive | None = None
    logistic_x0: NotNegative | None = None
    gamma_shape: Positive | None = None
    gamma_scale: Positive | None = None
    gamma_offset: NotNegative | None = None
    tolerance: NotNegative | None = None


class SynthesizeSettings(BaseModel):
    """Settings of the synthesize stage; image_size is the side of the square images in pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    generator: str = "nsa"
    image_size: int = Field(default=256, ge=16)
    per_image: int = Field(default=4, ge=1)
    validation_per_image: int = Field(default=4, ge=0)
    attempts: int = Field(default=5, ge=1)
    seed: int = 0
    kind: Literal["auto", "object", "texture"] = "auto"
    label: LabelKind = "logistic"
    nsa: NSAOverrides = NSAOverrides()


@dataclass(frozen=True)
class Resolution(Generic[Settings]):
    """A generator's settings for one category, what was measured for them (None: nothing), why."""

    settings: Settings
    background: Background | None
    reason: str


def resolve_nsa(
    dataset: str,
    category: str,
    settings: SynthesizeSettings,
    images: Sequence[NDArray[np.uint8]],
) -> NSASettings:
    """Return the NSA settings of a category; see `decide_nsa`."""
    return decide_nsa(dataset, category, settings, images).settings


def decide_nsa(
    dataset: str,
    category: str,
    settings: SynthesizeSettings,
    images: Sequence[NDArray[np.uint8]],
) -> Resolution[NSASettings]:
    """Find the NSA settings of a category, and say why these.

    The authors' table where it has the category, else the kind and the background measured on
    training images uint8 [H, W, 3], which are not used otherwise; `settings.kind` and
    `settings.nsa` override both.
    """
    table = _table()
    row = dict(table["classes"].get(dataset, {}).get(category, {}))
    kind, background, reason = _kind(row.pop("kind", None), images)
    if background is not None:
        row["background"] = (background.brightness, background.threshold)
    if settings.kind != "auto":
        kind, reason = settings.kind, f"{settings.kind}: set by synthesize.kind"
    if kind == "texture":
        row["background"] = None
    overrides = settings.nsa.model_dump(exclude_none=True)
    if overrides.get("background") == "none":
        overrides["background"] = None
    values = table["kinds"][kind] | row | {"label": settings.label} | overrides
    return Resolution(NSASettings.model_validate(values), background, reason)


def _kind(
    listed: Kind | None, images: Sequence[NDArray[np.uint8]]
) -> tuple[Kind, Background | None, str]:
    if listed is not None:
        return listed, None, f"{listed}: listed in the class table of NSA"
    measured = measure_background(images)
    return measured.kind, measured, measured.reason


@cache
def _table() -> dict[str, Any]:
    text = (files("clflow.synthesis") / "nsa_classes.yaml").read_text(encoding="utf-8")
    table: dict[str, Any] = YAML(typ="safe").load(text)
    for rows in (table["kinds"], *table["classes"].values()):
        for row in rows.values():
            row["logistic_k"] = float(Fraction(row["logistic_k"]))
    return table
