"""Settings of the frozen feature extractor."""

from pydantic import BaseModel, ConfigDict, Field


class BackboneSettings(BaseModel):
    """Which network, which of its levels, and where its weights come from.

    `weights` is `bundled` (the package that ships EfficientNet-Lite0), `pretrained` (downloaded by timm),
    `random` (tests only) or the path of a local .safetensors or .pth file, checked against `sha256`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    levels: tuple[int, ...] | None = Field(None, min_length=1)
    weights: str = "bundled"
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
