"""The file of the optimism stage: one method on one category, all seeds."""

from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, FiniteFloat, PositiveInt

Metrics = Mapping[str, float | None]


class Point(BaseModel):
    """Metrics by name after a number of training steps, None where undefined."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: PositiveInt
    metrics: dict[str, FiniteFloat | None]


class Curve(BaseModel):
    """The points of one seed, in the order of training, and the gap of each metric."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    points: tuple[Point, ...]
    gap: dict[str, FiniteFloat | None]


class OptimismReport(BaseModel):
    """Curves by seed; protocol and digests say how and of what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    study: str
    dataset: str
    category: str
    method: str
    protocol: dict[str, str]
    digests: dict[str, str]
    seeds: dict[int, Curve]


def gaps(points: Sequence[Point], names: Iterable[str]) -> dict[str, float | None]:
    """Return for each metric the best of its values minus the last one: never negative.

    None where a value is not defined.
    """
    return {name: _gap([point.metrics[name] for point in points]) for name in names}


def _gap(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) - known[-1] if known and len(known) == len(values) else None
