"""Settings of a 2D normalizing flow."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class CouplingSettings(BaseModel):
    """A stack of affine coupling blocks over feature maps (FastFlow, arXiv 2111.07677).

    `kernels` are the sub-net kernel sizes of successive blocks, repeated; `hidden_ratio` is hidden
    over passive channels. `subnet_scale` multiplies the sub-net's output; `clamping` is how
    log-scales are bounded by c = `clamp`: `hard` c tanh(s), `soft` c tanh(s / c), `none` leaves
    them zero. A flow without these and without a global affine preserves volume; one of no steps
    is the identity.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(ge=0)
    kernels: tuple[Literal[1, 3], ...] = Field(min_length=1)
    hidden_ratio: float = Field(gt=0)
    clamp: float = Field(gt=0)
    clamping: Literal["hard", "soft", "none"]
    subnet_scale: float = Field(gt=0)
    global_affine: Literal["softplus", "exp", "none"]
    identity_start: bool
