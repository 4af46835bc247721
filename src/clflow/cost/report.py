"""The file of the cost stage: what one method costs, and on which machine."""

from typing import Any

from pydantic import BaseModel, ConfigDict, FiniteFloat, NonNegativeInt, PositiveFloat, PositiveInt


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Size(_Part):
    """Parameters of the backbone and beyond it; other numbers that are stored; bytes on disk."""

    backbone_parameters: NonNegativeInt
    additional_parameters: NonNegativeInt
    total_parameters: NonNegativeInt
    stored_values: NonNegativeInt
    saved_bytes: NonNegativeInt


class Macs(_Part):
    """Billions of multiply-adds for one image."""

    backbone: FiniteFloat
    detector: FiniteFloat


class Memory(_Part):
    """Highest resident set of a process, and that after its imports; None without a GPU."""

    imports_bytes: PositiveInt
    peak_bytes: PositiveInt
    gpu_peak_bytes: NonNegativeInt | None


class Training(_Part):
    """One training run from images and anomalies on disk."""

    seconds: PositiveFloat
    good_images: PositiveInt
    memory: Memory


class Latency(_Part):
    """Milliseconds of one call on a batch, and images per second at the median."""

    median_ms: PositiveFloat
    p95_ms: PositiveFloat
    images_per_second: PositiveFloat


class BatchLatency(_Part):
    """Latency of the bare backbone and of the detector, and how many backbones the latter takes."""

    backbone: Latency
    detector: Latency
    ratio: PositiveFloat


class CostReport(_Part):
    """All costs of a method; `latency` is by batch size, `machine` what the figures depend on."""

    study: str
    dataset: str
    category: str
    method: str
    settings: dict[str, Any]
    protocol: dict[str, str]
    machine: dict[str, Any]
    input_size: tuple[PositiveInt, PositiveInt]
    size: Size
    gmacs: Macs
    training: Training
    latency: dict[PositiveInt, BatchLatency]
    scoring_memory: Memory
