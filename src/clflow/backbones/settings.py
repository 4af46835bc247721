"""Settings of the frozen feature extractor."""

from itertools import pairwise
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

NAMED_WEIGHTS = ("bundled", "pretrained", "random")


def _ascending(levels: tuple[int, ...]) -> tuple[int, ...]:
    if any(first >= second for first, second in pairwise(levels)):
        raise ValueError("levels must ascend")
    return levels


class BackboneSettings(BaseModel):
    """Which network, which of its levels, and where its weights come from.

    `weights` is `bundled` (the package that ships EfficientNet-Lite0), `pretrained` (downloaded by
    timm), `random` (tests only) or the path of a local .safetensors or .pth file, checked against
    `sha256`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    levels: Annotated[tuple[NonNegativeInt, ...], AfterValidator(_ascending)] | None = Field(
        None, min_length=1
    )
    weights: str = "bundled"
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _only_files_are_hashed(self) -> Self:
        if self.sha256 is not None and self.weights in NAMED_WEIGHTS:
            raise ValueError(
                f"sha256 is that of a local weight file, but weights is {self.weights!r}: "
                "give the path of the file as weights, or leave sha256 out"
            )
        return self
