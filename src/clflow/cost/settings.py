"""Settings of the cost stage."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

from clflow.detectors.chosen import Methods


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
    """Methods whose cost is measured on the study's first category, none by default."""

    methods: Methods = ()
