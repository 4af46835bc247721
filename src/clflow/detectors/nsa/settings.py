"""Settings shared by NSA and the methods its authors ran in the same framework."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_serializer, model_validator

from clflow.synthesis.labels import LabelKind
from clflow.synthesis.nsa import NSAOverrides

Precision = Literal["auto", "float32", "bfloat16"]
Side = Annotated[int, Field(ge=64, multiple_of=32)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CropSettings(_Settings):
    """What the network sees, in pixels, of an image of side `image_size`.

    Objects: a random crop of side `object` from the central `object_window` in training, the
    central one in tests. Textures: a random crop of side `image_size` of the image enlarged to
    `texture_size` in training, the whole image in tests.
    """

    object_window: int = Field(ge=64)
    object: Side
    texture_size: int = Field(ge=64)


class InputSettings(_Settings):
    """What the network is given of an image, `auto`: as the authors do for a class of theirs.

    `channels` 3 are the colours, 1 is their mean, which of a grey image is the image. They are
    standardised by the mean and deviation of ImageNet, or else divided by 255. Where a class is not
    the authors', `auto` is 3 channels, standardised.
    """

    channels: Literal["auto", 1, 3]
    standardise: Literal["auto"] | bool


class AnomalySettings(_Settings):
    """Where anomalies come from: drawn on the `fly`, fresh each epoch, or taken from the `bank`.

    `nsa` overrides NSA's settings of the category, and those of the study. Other generators have
    the study's settings.
    """

    source: Literal["fly", "bank"]
    generator: Literal["nsa", "fpi", "pii", "cutpaste", "cutpaste_scar"]
    nsa: NSAOverrides

    @field_serializer("nsa")
    def _only_what_is_set(self, nsa: NSAOverrides) -> dict[str, Any]:
        return nsa.model_dump(mode="json", exclude_none=True)


class TrainingSettings(_Settings):
    """A cosine schedule over whole epochs; the last step is the model.

    `epochs` and `rotation` (degrees either way) are the authors' for a class of theirs where they
    are `auto`; `percent` of the epochs are trained. `divergence_factor` times max(1, first loss) is
    the loss at which a run counts as diverged.
    """

    epochs: Literal["auto"] | Annotated[int, Field(ge=1)]
    percent: int = Field(ge=1, le=100)
    rotation: Literal["auto"] | Annotated[float, Field(ge=0, le=180)]
    batch_size: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    final_learning_rate: float = Field(ge=0)
    checkpoint_every: int = Field(ge=1)
    divergence_factor: float = Field(gt=1)


class NSADetectorSettings(_Settings):
    """An encoder-decoder that is trained from scratch to predict the labels of anomalies.

    `label` decides target, last activation and loss: `binary` and `logistic`, in 0..1, and
    `continuous`, the weight of an interpolated patch, go with a sigmoid and cross-entropy;
    `intensity`, the change in grey levels (the paper's "continuous"), goes with ReLU and squared
    error. `image_size` is the side of the anomaly maps in pixels. `precision` is that of training
    and of scoring; `auto` is bfloat16 where the processor multiplies it fast.
    """

    label: LabelKind
    image_size: Side
    input: InputSettings
    crop: CropSettings
    anomalies: AnomalySettings
    training: TrainingSettings
    precision: Precision

    @model_validator(mode="after")
    def _crops_fit(self) -> Self:
        crop, size = self.crop, self.image_size
        if not crop.object <= crop.object_window <= size <= crop.texture_size:
            raise ValueError(
                "sides must rise: crop.object, crop.object_window, image_size, crop.texture_size "
                f"(they are {crop.object}, {crop.object_window}, {size}, {crop.texture_size})"
            )
        return self

    @model_validator(mode="after")
    def _bank_has_no_weights(self) -> Self:
        if self.anomalies.source == "bank" and self.label == "continuous":
            raise ValueError(
                "a bank does not keep the weight of a patch: set label to binary, logistic or "
                "intensity, or anomalies.source to fly"
            )
        return self
