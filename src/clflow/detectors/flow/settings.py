"""Settings of the flow detector; every choice of the three named methods is a field."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clflow.alignment.settings import ImageAlignmentSettings
from clflow.errors import SettingsError
from clflow.features.registry import BackboneSettings, backbone_spec, check_levels, check_weights
from clflow.flows.settings import CouplingSettings


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NormalizationSettings(_Settings):
    """Fixed affine map of the features, fitted on good images in closed form.

    `mean` and `covariance` are taken over all locations (`global`) or location by location
    (`location`); `diagonal` divides by the channel's standard deviation only. A location's
    covariance is (1 - w) S_location + w S_global + epsilon I, on standardised channels; w follows
    from the number of images and from `prior`, how many of them per channel S_global is worth.
    S_location is pooled over `block` x `block` locations, which then share it, or, with a `rank`,
    described by that many directions after whitening by S_global. With `folds` > 0 a training
    image, and every anomaly made from it, is normalised for training by the statistics of the other
    folds.
    """

    mean: Literal["global", "location"]
    covariance: Literal["diagonal", "global", "location"]
    prior: float = Field(ge=0)
    epsilon: float = Field(gt=0)
    block: int = Field(ge=1)
    rank: int | None = Field(ge=1)
    folds: int = Field(ge=0)

    @model_validator(mode="after")
    def _no_single_fold(self) -> Self:
        if self.folds == 1:
            raise ValueError("folds must be 0 (no cross-fit) or at least 2")
        return self

    @model_validator(mode="after")
    def _rank_of_locations(self) -> Self:
        if self.rank is not None and (self.covariance != "location" or self.block != 1):
            raise ValueError(
                f"rank {self.rank} needs covariance location and block 1, not "
                f"{self.covariance} and {self.block}; set rank to null"
            )
        return self


class ClassificationSettings(_Settings):
    """Loss of good and anomalous cells: logit = gain softplus(a) (q - b), a, b learned per level.

    `loss` is the `cross_entropy`, its labels smoothed by `smoothing` (tau), or the `hinge`.
    `quantity` q is the `energy` per channel or half the mean square of the latent (`z2`).
    """

    weight: float = Field(ge=0)
    loss: Literal["cross_entropy", "hinge"]
    quantity: Literal["energy", "z2"]
    smoothing: float = Field(ge=0, lt=1)
    gain: float = Field(gt=0)


class ContrastSettings(_Settings):
    """Contrast of good and anomalous, the anomalous paired with the same place of its good twin.

    `margin` and `info_nce` compare cosines: good images are pulled together, anomalous boxes pushed
    from their twins' boxes. `ranking` asks the energy of an anomalous cell to be above its twin's
    by `margin`. `projection` compares cosines of cells after a learned linear map: good cells are
    pulled to other good cells and pushed from anomalous ones, at `temperature`.
    """

    weight: float = Field(ge=0)
    form: Literal["margin", "info_nce", "ranking", "projection"]
    margin: float
    temperature: float = Field(gt=0)
    stop_gradient: bool

    @property
    def compares_boxes(self) -> bool:
        """Whether means over boxes are compared, for which whole maps are needed."""
        return self.weight > 0 and self.form in ("margin", "info_nce")


class CellSettings(_Settings):
    """Anomalous cells: more than `area` masked, or at least `share` of the image's fullest cell."""

    area: float = Field(gt=0, lt=1)
    share: float = Field(gt=0, le=1)


class TrainingSettings(_Settings):
    """A fixed schedule; the last step is the model.

    `locations` limits each good image to that many random cells (pointwise flows only); `ramp` is
    the part of the steps over which the weights of the negatives' losses rise from 0;
    `divergence_factor` times max(1, |first loss|) is the loss at which a run counts as diverged.
    """

    steps: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    schedule: Literal["constant", "one_cycle"]
    warmup: float = Field(gt=0, lt=1)
    gradient_clip: float | None = Field(gt=0)
    locations: int | None = Field(ge=1)
    ramp: float = Field(ge=0, le=1)
    log_every: int = Field(ge=1)
    checkpoint_every: int = Field(ge=1)
    divergence_factor: float = Field(gt=1)


class ScoreSettings(_Settings):
    """The anomaly map and the image score.

    `exp` is FastFlow's -exp(-z2), `z2` half the mean square of the latent, `log_likelihood` the
    negative log-likelihood per channel of each location. `smoothing` is the Gaussian's sigma in
    pixels of the input, 0 for none. The image score is the mean of the highest `top_fraction` of
    the map's pixels, 0 for its maximum.
    """

    kind: Literal["exp", "z2", "log_likelihood"]
    smoothing: float = Field(ge=0)
    top_fraction: float = Field(ge=0, le=1)


class FlowSettings(_Settings):
    """A frozen backbone, a fixed normalisation, a flow per level, and how they are trained.

    `image_size`² is the area of the input, a square unless `aspect` keeps the image's shape, which
    the bank should then keep too (`synthesize.aspect`); `alignment` brings images that the
    detector sees as squares into one pose first. `grid` fuses all levels into one map of
    grid x grid cells, where the cells of coarser levels are repeated (`upsampling` nearest) or
    interpolated bilinearly; null keeps one flow per level.
    """

    backbone: BackboneSettings
    image_size: int = Field(ge=32)
    aspect: Literal["keep", "stretch"]
    alignment: ImageAlignmentSettings
    grid: int | None = Field(ge=2)
    upsampling: Literal["nearest", "bilinear"]
    normalization: NormalizationSettings
    flow: CouplingSettings
    cells: CellSettings
    classification: ClassificationSettings
    contrast: ContrastSettings
    training: TrainingSettings
    score: ScoreSettings

    @property
    def uses_negatives(self) -> bool:
        """Whether any loss needs synthetic anomalies."""
        return self.classification.weight > 0 or self.contrast.weight > 0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        try:
            size = backbone_spec(self.backbone.name).image_size
            check_weights(self.backbone.name, self.backbone.weights)
            check_levels(self.backbone.name, self.backbone.levels or ())
        except SettingsError as error:
            raise ValueError(str(error)) from error
        if size not in (None, self.image_size):
            raise ValueError(f"backbone {self.backbone.name!r} needs image_size {size}")
        if size is not None and self.aspect == "keep":
            raise ValueError(f"backbone {self.backbone.name!r} takes squares: aspect must stretch")
        if self.training.locations is not None and set(self.flow.kernels) != {1}:
            raise ValueError("training.locations needs pointwise sub-nets: set flow.kernels to [1]")
        if self.training.locations is not None and self.contrast.compares_boxes:
            raise ValueError(
                f"contrast.form {self.contrast.form!r} needs whole maps: set training.locations to "
                "null"
            )
        if self.flow.steps == 0 and self.classification.weight == 0:
            raise ValueError("flow.steps 0 leaves nothing to train without classification.weight")
        return self
