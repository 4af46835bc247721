"""Settings of the figures stage."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


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
