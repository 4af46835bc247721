"""Settings of the alignment of images: found in closed form, or learned."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RegistrationSettings(_Settings):
    """Search for the turn and shift that bring an image onto the template.

    `size` is the side in pixels at which images are compared last, `turns` how many turns around
    the circle are tried first, `reach` the largest shift in fractions of the side; the template is
    made in `rounds` rounds, begun with one of the first `seeds` images.
    """

    size: int = Field(ge=64, multiple_of=64)
    turns: int = Field(ge=8)
    reach: float = Field(gt=0, le=0.5)
    rounds: int = Field(ge=1)
    seeds: int = Field(ge=1)


class TransformerSettings(_Settings):
    """Bounds of what a spatial transformer predicts: tanh keeps it inside of them.

    `angle` in degrees, `shift` in fractions of the side, `scale` the largest factor and, inverted,
    the smallest; `axes` scales both axes by one factor or each by its own.
    """

    angle: float = Field(ge=0, le=180)
    shift: float = Field(ge=0, le=0.5)
    scale: float = Field(ge=1, le=2)
    axes: Literal["one", "each"]


class LearnedSettings(_Settings):
    """Image-level transformer, trained on the pairwise distance of the images of a batch.

    `size` is the side in pixels at which images are compared, `pull` the weight of
    ||theta - identity||^2.
    """

    transformer: TransformerSettings
    size: int = Field(ge=32, multiple_of=4)
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    pull: float = Field(ge=0)


class ImageAlignmentSettings(_Settings):
    """How images are brought into one pose.

    `kind` is a `registration` to a template in closed form, a `learned` transformer, `both`, one
    after the other, or `none`. With `decide` it is kept only for a category where it lessens the
    pairwise distance of held-out good images by at least `minimum_gain`.
    """

    kind: Literal["none", "registration", "learned", "both"]
    decide: bool
    minimum_gain: float = Field(ge=0, lt=1)
    padding: Literal["border", "reflection"]
    registration: RegistrationSettings
    learned: LearnedSettings
