"""The results of the evaluate stage, one file per method and category: the one reader of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, FiniteFloat

from clflow.errors import DataError
from clflow.files import digest_of, read_report
from clflow.metrics.registry import METRICS

_REMEDY = "run `dvc repro`"
_MISSING = "not stated"


class Setup(BaseModel):
    """Backbone, or the network that is trained, and input size; None where a run does not say."""

    model_config = ConfigDict(frozen=True)

    backbone: str | None = None
    image_size: int | None = None

    @property
    def text(self) -> str:
        """Return `efficientnet_lite0 at 256 pixels`."""
        size = f"{self.image_size} pixels" if self.image_size else f"a size {_MISSING}"
        return f"{self.backbone or f'a backbone {_MISSING}'} at {size}"


class RunResult(BaseModel):
    """Metrics by seed and name, None where undefined; protocol, counts and digests say of what.

    A file may be older or newer than this code: it may lack a metric of the registry, and may have
    another, which is kept.

    `notes` say in what the method differs from its published self, `failures` why a seed has no
    value, `setup` with what backbone and input size it was made, where these are known.
    """

    model_config = ConfigDict(frozen=True)

    study: str
    dataset: str
    category: str
    method: str
    protocol: dict[str, str]
    counts: dict[str, int]
    digests: dict[str, Any]
    seeds: dict[int, dict[str, FiniteFloat | None]]
    notes: str = ""
    failures: dict[int, str] = {}
    setup: Setup = Setup()

    @property
    def failed_seeds(self) -> tuple[int, ...]:
        """Seeds without any value: their run failed or was not made."""
        return tuple(s for s, own in self.seeds.items() if all(v is None for v in own.values()))

    @property
    def whole_seeds(self) -> tuple[int, ...]:
        """Seeds with a value, in the order of the study."""
        return tuple(seed for seed in self.seeds if seed not in self.failed_seeds)

    @property
    def pictured(self) -> int | None:
        """The first seed with a model, None without any."""
        return min(self.seeds.keys() - self.failures.keys(), default=None)

    def digest(self, seed: int) -> str:
        """Return the digest of all that concerns one seed."""
        shared = self.model_dump(include={"protocol", "counts", "digests"})
        return digest_of(shared | {"metrics": self.seeds[seed]})


Found = dict[tuple[str, str], RunResult | None]


def run_file(folder: Path, method: str, category: str) -> Path:
    """Return where the metrics of a method on a category are below a study's `folder`."""
    return folder / method / f"{category}.json"


def read_runs(
    folder: Path, categories: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> tuple[RunResult, ...]:
    """Read the runs that a study names, by category, then method; other files are ignored.

    `folder` is results/runs/<study>.

    Raises:
        DataError: a file or seed is missing or malformed, or methods saw different images.
    """
    found = _read_all(folder, categories, methods)
    for place, run in found.items():
        _check_complete(run, seeds, run_file(folder, *place), " on ".join(place))
    return _checked(found, seeds)


def read_available_runs(
    folder: Path, categories: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> tuple[RunResult, ...]:
    """Read runs as `read_runs` does, but a missing file or seed is a run without any value.

    A run without a file has no protocol, counts or digests either.

    Raises:
        DataError: all files are missing, one is malformed, or methods saw different images.
    """
    found = _read_all(folder, categories, methods)
    if not any(found.values()):
        raise DataError(f"no results in {folder}: all runs of the study are missing; {_REMEDY}")
    return _checked(found, seeds)


def _checked(found: Found, seeds: Sequence[int]) -> tuple[RunResult, ...]:
    present = [run for run in found.values() if run]
    for category in dict.fromkeys(run.category for run in present):
        _check_same_images([run for run in present if run.category == category])
    return tuple(_filled(run or _absent(present[0], *place), seeds) for place, run in found.items())


def _check_complete(run: RunResult | None, seeds: Sequence[int], path: Path, name: str) -> None:
    if run is None:
        raise DataError(f"no results of {name}: {path} is missing; {_REMEDY}")
    for seed in seeds:
        if seed not in run.seeds:
            present = ", ".join(map(str, sorted(run.seeds))) or "none"
            raise DataError(f"{path} has no seed {seed} (it has {present}); {_REMEDY}")


def read_result(folder: Path, method: str, category: str) -> RunResult:
    """Read one file below `folder`, results/runs/<study>.

    Raises:
        DataError: it is missing, malformed, or was written for another place.
    """
    path = run_file(folder, method, category)
    run = read_report(path, RunResult)
    found, expected = (run.study, run.method, run.category), (folder.name, method, category)
    if found != expected:
        raise DataError(f"{path} holds {'/'.join(found)}, not {'/'.join(expected)}; {_REMEDY}")
    return run


def _read_all(folder: Path, categories: Sequence[str], methods: Sequence[str]) -> Found:
    places = [(method, category) for category in categories for method in methods]
    return {
        place: read_result(folder, *place) if run_file(folder, *place).is_file() else None
        for place in places
    }


def _absent(other: RunResult, method: str, category: str) -> RunResult:
    nothing: dict[str, Any] = {
        "protocol": {},
        "counts": {},
        "digests": {},
        "seeds": {},
        "notes": "",
        "failures": {},
        "setup": Setup(),
    }
    return other.model_copy(update={"method": method, "category": category} | nothing)


def _filled(run: RunResult, seeds: Sequence[int]) -> RunResult:
    """Return a run of these seeds, each with every metric of the registry."""
    nothing = dict.fromkeys(METRICS)
    filled = {seed: {**nothing, **run.seeds.get(seed, {})} for seed in seeds}
    return run.model_copy(update={"seeds": filled})


def _check_same_images(runs: Sequence[RunResult]) -> None:
    first = runs[0]
    for run in runs[1:]:
        if run.digests.get("manifest") != first.digests.get("manifest"):
            raise DataError(
                f"{first.method} and {run.method} were evaluated on different manifests of "
                f"{run.category}, so they cannot be compared; {_REMEDY}"
            )
