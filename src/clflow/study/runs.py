"""The files of the evaluate stage, checked: one method on one category, all seeds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from clflow.errors import DataError
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


class Run(BaseModel):
    """Metrics by seed and name, None where undefined; protocol, counts and digests say of what.

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
        return tuple(seed for seed, own in self.seeds.items() if set(own.values()) == {None})

    @property
    def whole_seeds(self) -> tuple[int, ...]:
        """Seeds with a value, in the order of the study."""
        return tuple(seed for seed in self.seeds if seed not in self.failed_seeds)


Found = dict[tuple[str, str], Run | None]


def run_file(folder: Path, method: str, category: str) -> Path:
    """Return where the metrics of a method on a category are below a study's `folder`."""
    return folder / method / f"{category}.json"


def read_runs(
    folder: Path, categories: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> tuple[Run, ...]:
    """Read the runs that a study names, by category, then method; other files are ignored.

    `folder` is results/runs/<study>.

    Raises:
        DataError: a file or seed is missing or malformed, or methods saw different images.
    """
    found = _read_all(folder, categories, methods, seeds)
    for place, run in found.items():
        _check_complete(run, seeds, run_file(folder, *place), " on ".join(place))
    return _checked(found, seeds)


def read_available_runs(
    folder: Path, categories: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> tuple[Run, ...]:
    """Read runs as `read_runs` does, but a missing file or seed is a run without any value.

    A run without a file has no protocol, counts or digests either.

    Raises:
        DataError: all files are missing, one is malformed, or methods saw different images.
    """
    found = _read_all(folder, categories, methods, seeds)
    if not any(found.values()):
        raise DataError(f"no results in {folder}: all runs of the study are missing; {_REMEDY}")
    return _checked(found, seeds)


def _checked(found: Found, seeds: Sequence[int]) -> tuple[Run, ...]:
    present = [run for run in found.values() if run]
    for category in dict.fromkeys(run.category for run in present):
        _check_same_images([run for run in present if run.category == category])
    return tuple(_filled(run or _absent(present[0], *place), seeds) for place, run in found.items())


def _check_complete(run: Run | None, seeds: Sequence[int], path: Path, name: str) -> None:
    if run is None:
        raise DataError(f"no results of {name}: {path} is missing; {_REMEDY}")
    for seed in seeds:
        if seed not in run.seeds:
            present = ", ".join(map(str, sorted(run.seeds))) or "none"
            raise DataError(f"{path} has no seed {seed} (it has {present}); {_REMEDY}")


def _read_all(
    folder: Path, categories: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> Found:
    places = ((method, category) for category in categories for method in methods)
    return {place: _read_run(folder, *place, seeds) for place in places}


def _read_run(folder: Path, method: str, category: str, seeds: Sequence[int]) -> Run | None:
    path = run_file(folder, method, category)
    if not path.is_file():
        return None
    try:
        run = Run.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(f"{path} is malformed: {place}: {first['msg']}; {_REMEDY}") from error
    found, expected = (run.study, run.method, run.category), (folder.name, method, category)
    if found != expected:
        raise DataError(f"{path} holds {'/'.join(found)}, not {'/'.join(expected)}; {_REMEDY}")
    for seed in run.seeds.keys() & set(seeds):
        _check_metrics(run, seed, path)
    return run


def _check_metrics(run: Run, seed: int, path: Path) -> None:
    odd = sorted(METRICS.keys() ^ run.seeds[seed].keys())
    if odd:
        raise DataError(
            f"{path}, seed {seed}: missing or unknown metric {', '.join(odd)}; {_REMEDY}"
        )


def _absent(other: Run, method: str, category: str) -> Run:
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


def _filled(run: Run, seeds: Sequence[int]) -> Run:
    nothing = dict.fromkeys(METRICS)
    return run.model_copy(update={"seeds": {seed: run.seeds.get(seed, nothing) for seed in seeds}})


def _check_same_images(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs[1:]:
        if run.digests.get("manifest") != first.digests.get("manifest"):
            raise DataError(
                f"{first.method} and {run.method} were evaluated on different manifests of "
                f"{run.category}, so they cannot be compared; {_REMEDY}"
            )
