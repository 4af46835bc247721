"""Settings of the optimism stage."""

from pydantic import BaseModel, ConfigDict, Field

from clflow.detectors.chosen import Methods


class OptimismSettings(BaseModel):
    """Methods to train again under observation, and at how many steps to measure, last included."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    methods: Methods = ()
    points: int = Field(default=10, ge=1)
