"""Settings of FYD; PaDiM is the same with every alignment off."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clflow.backbones.registry import backbone_spec, check_levels, check_weights
from clflow.backbones.settings import BackboneSettings
from clflow.errors import SettingsError


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


class FeatureAlignmentSettings(_Settings):
    """A spatial transformer after each stage of the backbone, trained by the fine alignment."""

    enabled: bool
    transformer: TransformerSettings


class FineAlignmentSettings(_Settings):
    """Training of the backbone's stages on the similarity of all images of a batch.

    The stages learn at `backbone_rate` times the learning rate, 0 to freeze them; `floor` is the
    share of its first value below which the spread of the features counts as collapsed.
    """

    enabled: bool
    steps: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    backbone_rate: float = Field(ge=0)
    weight_decay: float = Field(ge=0)
    stop_gradient: bool
    floor: float = Field(ge=0, lt=1)
    log_every: int = Field(ge=1)
    checkpoint_every: int = Field(ge=1)


class DensitySettings(_Settings):
    """The Gaussian at each location.

    `channels` is how many randomly chosen channels are kept, null for all; `grid` the cells per
    side of the map that all levels are brought to, null for the finest level's.
    """

    channels: int | None = Field(ge=1)
    grid: int | None = Field(ge=2)
    standardise: bool
    shrinkage: float = Field(ge=0, le=1)
    epsilon: float = Field(gt=0)


class ScoreSettings(_Settings):
    """`smoothing` is the sigma, in pixels of the input, of the Gaussian over the anomaly map."""

    smoothing: float = Field(ge=0)


class FydSettings(_Settings):
    """A backbone, three alignments that can each be off, and the density of the features."""

    backbone: BackboneSettings
    image_size: int = Field(ge=32, multiple_of=32)
    image_alignment: ImageAlignmentSettings
    feature_alignment: FeatureAlignmentSettings
    fine_alignment: FineAlignmentSettings
    density: DensitySettings
    score: ScoreSettings

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        name = self.backbone.name
        try:
            transformer = backbone_spec(name).transformer
            check_weights(name, self.backbone.weights)
            check_levels(name, self.backbone.levels or ())
        except SettingsError as error:
            raise ValueError(str(error)) from error
        if transformer:
            raise ValueError(f"backbone {name!r} is a transformer: take a convolutional one")
        if self.feature_alignment.enabled and not self.fine_alignment.enabled:
            raise ValueError("feature_alignment has no loss of its own: enable fine_alignment too")
        return self
