"""Settings of the peers: backbone and input are ours to choose, `parameters` are the peer's own."""

from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clflow.errors import SettingsError
from clflow.features.registry import BackboneSettings, backbone_spec, check_levels, check_weights


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PeerSettings(_Settings):
    """A convolutional backbone, the input's size, and how many images a training batch has.

    `image_size` is in pixels, a multiple of the coarsest stride, which the peers' grids assume.
    """

    needed_levels: ClassVar[tuple[int, ...] | None] = None
    one_level: ClassVar[bool] = False

    backbone: BackboneSettings
    image_size: int = Field(ge=32, multiple_of=32)
    batch_size: int = Field(ge=2)

    @property
    def epochs(self) -> int:
        """Passes over the training images."""
        return 1

    @property
    def levels(self) -> tuple[int, ...]:
        """Levels of the backbone that the peer reads."""
        return self.backbone.levels or backbone_spec(self.backbone.name).levels

    @property
    def arguments(self) -> dict[str, object]:
        """The peer's own parameters, under its own names."""
        parameters = getattr(self, "parameters", None)
        return parameters.model_dump() if isinstance(parameters, BaseModel) else {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        name = self.backbone.name
        try:
            transformer = backbone_spec(name).transformer
            check_weights(name, self.backbone.weights)
            check_levels(name, self.levels)
        except SettingsError as error:
            raise ValueError(str(error)) from error
        if transformer:
            raise ValueError(f"backbone {name!r} is a transformer: peers take convolutional ones")
        if self.needed_levels not in (None, self.levels):
            raise ValueError(f"backbone.levels must be {list(self.needed_levels or ())}")
        if self.one_level and len(self.levels) != 1:
            raise ValueError("backbone.levels must be a single level")
        return self


class TrainingSettings(_Settings):
    """A fixed number of passes over the training images; the last step is the model."""

    epochs: int = Field(ge=1)


class TrainedPeerSettings(PeerSettings):
    """A peer that is trained by gradient steps; optimiser and schedule are its own."""

    training: TrainingSettings

    @property
    def epochs(self) -> int:
        """Passes over the training images."""
        return self.training.epochs


class PatchcoreParameters(_Settings):
    """PatchCore (arXiv 2106.08265)."""

    coreset_sampling_ratio: float = Field(gt=0, le=1)
    num_neighbors: int = Field(ge=1)


class PatchcoreSettings(PeerSettings):
    """Settings of `anomalib.patchcore`.

    `coreset` is selected by anomalib's `own` code or by `quick` distances, which pick the same.
    """

    coreset: Literal["quick", "own"]
    parameters: PatchcoreParameters


class PadimParameters(_Settings):
    """PaDiM (arXiv 2011.08785): how many randomly chosen channels it keeps."""

    n_features: int = Field(ge=1)


class PadimSettings(PeerSettings):
    """Settings of `anomalib.padim`."""

    parameters: PadimParameters


class DfmParameters(_Settings):
    """DFM (arXiv 1909.11786): pooling before, and variance kept by, the principal components."""

    pooling_kernel_size: int = Field(ge=1)
    pca_level: float = Field(gt=0, le=1)


class DfmSettings(PeerSettings):
    """Settings of `anomalib.dfm`."""

    one_level = True

    parameters: DfmParameters


class FastflowParameters(_Settings):
    """FastFlow (arXiv 2111.07677)."""

    flow_steps: int = Field(ge=1)
    conv3x3_only: bool
    hidden_ratio: float = Field(gt=0)


class FastflowSettings(TrainedPeerSettings):
    """Settings of `anomalib.fastflow`."""

    needed_levels = (1, 2, 3)

    parameters: FastflowParameters


class PatchflowParameters(_Settings):
    """PatchFlow, a flow on patch features of several scales of the image."""

    flow_steps: int = Field(ge=1)
    flow_feature_dim: int = Field(ge=2)
    flow_hidden_dim: int = Field(ge=1)
    num_scales: int = Field(ge=1)
    patch_size: int = Field(ge=1)
    lr: float = Field(gt=0)
    weight_decay: float = Field(ge=0)


class PatchflowSettings(TrainedPeerSettings):
    """Settings of `anomalib.patchflow`."""

    needed_levels = (2, 3, 4)

    parameters: PatchflowParameters


class StfpmSettings(TrainedPeerSettings):
    """Settings of `anomalib.stfpm` (arXiv 2103.04257); it has no parameters of its own."""


class SupersimplenetParameters(_Settings):
    """SuperSimpleNet (arXiv 2408.03143)."""

    perlin_threshold: float
    adapt_cls_features: bool


class SupersimplenetSettings(TrainedPeerSettings):
    """Settings of `anomalib.supersimplenet`; its noise needs a grid of 32 cells at least."""

    image_size: int = Field(ge=128, multiple_of=32)
    parameters: SupersimplenetParameters
