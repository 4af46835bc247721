"""Settings of the selection_bias stage."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

from clflow.detectors.registry import METHODS, read_method_file
from clflow.errors import unknown_name
from clflow.study.settings import Name


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise ValueError(f"{repeated[0]!r} is given more than once")
    return names


Methods = Annotated[tuple[Name, ...], AfterValidator(_distinct)]


def stepped_methods() -> tuple[str, ...]:
    """Return the methods whose training can be observed step by step."""
    return tuple(name for name in METHODS if read_method_file(name).length == "training.steps")


def choice_problems(params: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the methods of the sections `selection_bias` and `cost`."""
    study = _methods(params, "study")
    stepped = stepped_methods()
    for section in ("selection_bias", "cost"):
        for name in _methods(params, section):
            if name not in METHODS:
                yield f"{section}.methods: {unknown_name('method', name, METHODS)}"
            elif section == "selection_bias" and name not in stepped:
                yield (
                    f"{section}.methods: {name!r} has no training steps to observe: allowed are "
                    f"{', '.join(stepped)}"
                )
            elif name not in study:
                yield f"{section}.methods: {name!r} is not in study.methods; add or drop it"


def _methods(params: Mapping[str, Any], section: str) -> list[str]:
    values = params.get(section)
    methods = values.get("methods") if isinstance(values, Mapping) else None
    return [str(name) for name in methods] if isinstance(methods, list) else []


class EvaluateSettings(BaseModel):
    """How a trained model is measured.

    `masks` compares maps and masks at the detector's `input` size (masks resized by nearest
    neighbour) or at the masks' `native` size (maps interpolated bilinearly). `threshold_quantile`
    of the scores of held-out good images is the decision threshold. `worst` and `sample` are how
    many pictures of errors and of a fixed sample are kept.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    masks: Literal["input", "native"] = "input"
    threshold_quantile: float = Field(default=0.95, gt=0, le=1)
    worst: int = Field(default=4, ge=0)
    sample: int = Field(default=4, ge=0)


def _ascending(sizes: tuple[int, ...]) -> tuple[int, ...]:
    if list(sizes) != sorted(set(sizes)):
        raise ValueError("batch sizes must ascend")
    return sizes


class TimingSettings(BaseModel):
    """How latency is measured: batches, timed calls, calls before these, threads (null: all)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch_sizes: Annotated[tuple[PositiveInt, ...], AfterValidator(_ascending)] = Field(
        default=(1, 16), min_length=1
    )
    repeats: PositiveInt = 50
    warmup: NonNegativeInt = 10
    threads: PositiveInt | None = None


class CostSettings(TimingSettings):
    """Methods whose cost is measured on the study's first category, none by default."""

    methods: Methods = ()


class SelectionBiasSettings(BaseModel):
    """Methods to train again under observation, and at how many steps to measure, last included."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    methods: Methods = ()
    points: int = Field(default=10, ge=1)
