"""Settings of FYD; PaDiM is the same with every alignment off."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clflow.alignment.settings import ImageAlignmentSettings, TransformerSettings
from clflow.errors import SettingsError
from clflow.features.registry import BackboneSettings, backbone_spec, check_levels, check_weights


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FeatureAlignmentSettings(_Settings):
    """A spatial transformer after each stage of the backbone, trained by the fine alignment."""

    enabled: bool
    transformer: TransformerSettings


class FineAlignmentSettings(_Settings):
    """Training of the backbone's stages on the similarity of all images of a batch.

    With `decide` it is left out for a category whose images the image alignment brought no closer
    to each other, textures for instance: what lies at the same place need not correspond there. The
    stages learn at `backbone_rate` times the learning rate, 0 to freeze them; `floor` is the share
    of its first value below which the spread of the features counts as collapsed.
    """

    enabled: bool
    decide: bool
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
    side of the map that all levels are brought to, null for the finest level's; `prior` how many
    images per channel the covariance of all locations is worth at each.
    """

    channels: int | None = Field(ge=1)
    grid: int | None = Field(ge=2)
    standardise: bool
    prior: float = Field(ge=0)
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
