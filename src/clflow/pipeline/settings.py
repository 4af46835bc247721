"""Settings of the stages evaluate, selection_bias and cost."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

from clflow.study.settings import Name, Names


class EvaluateSettings(BaseModel):
    """How a trained model is measured.

    `masks` compares maps and masks at the detector's `input` size (masks resized by nearest
    neighbour) or at the masks' `native` size (maps interpolated bilinearly). `false_alarm_rate`
    is the share of good images that a threshold may call anomalous, and of those that may show any
    region: the scores of held-out good images set it. `worst` and `sample` are how many pictures
    of errors and of a fixed sample are kept.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    masks: Literal["input", "native"] = "input"
    false_alarm_rate: float = Field(default=0.05, gt=0, lt=1)
    worst: int = Field(default=4, ge=0)
    sample: int = Field(default=4, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _former_key(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and "threshold_quantile" in values:
            raise ValueError(_renamed(values["threshold_quantile"]))
        return values


def _renamed(quantile: object) -> str:
    number = isinstance(quantile, int | float) and 0 < quantile < 1
    value = f"{1 - float(quantile):.6g}" if number else "0.05"  # type: ignore[arg-type]
    return (
        f"threshold_quantile is {quantile!r}, which promised nothing and is gone: write "
        f"`false_alarm_rate: {value}`, the share of good images that may be called anomalous"
    )


class SelectionBiasSettings(BaseModel):
    """Methods to train again under observation, and at how many steps to measure, last included."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    methods: Names = ()
    points: int = Field(default=10, ge=1)


def _ascending(sizes: tuple[int, ...]) -> tuple[int, ...]:
    if list(sizes) != sorted(set(sizes)):
        raise ValueError("batch sizes must ascend")
    return sizes


class TimingSettings(BaseModel):
    """How latency is measured: batches, timed calls, calls before these, threads (null: all)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch_sizes: Annotated[tuple[PositiveInt, ...], AfterValidator(_ascending)] = Field(
        default=(1, 16), min_length=1
    )
    repeats: PositiveInt = 50
    warmup: NonNegativeInt = 10
    threads: PositiveInt | None = None


class CostSettings(TimingSettings):
    """Methods whose cost is measured, none by default, and the category that it is measured on."""

    methods: Names = ()
    category: Name | None = None
