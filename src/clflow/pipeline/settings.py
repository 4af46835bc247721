"""Settings of the stages evaluate, selection_bias and cost."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

from clflow.study.settings import Name, Names


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
