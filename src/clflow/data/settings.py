"""Settings of the prepare stage."""

from pydantic import BaseModel, ConfigDict, Field


class PrepareSettings(BaseModel):
    """How the images of a category are split.

    `validation_fraction` of the good training images, at least `validation_minimum`, is held out;
    at least `training_minimum` must remain. `test_fraction` of the good images becomes test images
    where a folder has no test split of its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(default=0, ge=0)
    validation_fraction: float = Field(default=0.1, ge=0, lt=1)
    validation_minimum: int = Field(default=8, ge=1)
    training_minimum: int = Field(default=8, ge=1)
    test_fraction: float = Field(default=0.2, ge=0, lt=1)
