"""Settings of the figures stage."""

from collections.abc import Collection
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from clflow.errors import unknown_name
from clflow.metrics.registry import METRICS
from clflow.report.literature import METHODS


class TabulateSettings(BaseModel):
    """Which metrics get a table of their own, the decimals of a cell, and how sure to be.

    `confidence` is of the bootstrap intervals made from `resamples`; a difference is significant
    where its adjusted p-value is below `significance`. `published` are the methods whose published
    values ours are put beside, where the data set has any.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    metrics: tuple[str, ...] = Field(
        default=("image_auroc", "image_ap", "pixel_auroc", "aupro_30"), min_length=1
    )
    digits: int = Field(default=3, ge=1, le=6)
    confidence: float = Field(default=0.95, ge=0.5, le=0.999)
    resamples: int = Field(default=2000, ge=100, le=100_000)
    significance: float = Field(default=0.05, gt=0, le=0.5)
    published: tuple[str, ...] = METHODS

    @field_validator("metrics")
    @classmethod
    def _metrics(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return _known_and_distinct("metric", names, METRICS)

    @field_validator("published")
    @classmethod
    def _published(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return _known_and_distinct("published method", names, METHODS)


def _known_and_distinct(
    kind: str, names: tuple[str, ...], allowed: Collection[str]
) -> tuple[str, ...]:
    for name in names:
        if name not in allowed:
            raise ValueError(str(unknown_name(kind, name, allowed)))
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{kind} {', '.join(repeated)} is listed twice; list each once")
    return names


class FiguresSettings(BaseModel):
    """The formats of every figure."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    formats: tuple[Literal["svg", "png"], ...] = Field(default=("svg", "png"), min_length=1)

    @field_validator("formats")
    @classmethod
    def _distinct(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(formats)) < len(formats):
            raise ValueError("a format is listed twice; list each once")
        return formats
