"""The files of the evaluate stage, checked: one method on one category, all seeds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from clflow.errors import DataError
from clflow.tables.metrics import METRICS

_REMEDY = "run `dvc repro`"


class Run(BaseModel):
    """Metrics by seed and name, None where undefined; protocol, counts and digests say of what."""

    model_config = ConfigDict(frozen=True)

    study: str
    dataset: str
    category: str
    method: str
    protocol: dict[str, str]
    counts: dict[str, int]
    digests: dict[str, Any]
    seeds: dict[int, dict[str, FiniteFloat | None]]


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
    runs = tuple(
        _read_run(folder, method, category, seeds) for category in categories for method in methods
    )
    for category in categories:
        _check_same_images([run for run in runs if run.category == category])
    return runs


def _read_run(folder: Path, method: str, category: str, seeds: Sequence[int]) -> Run:
    path = run_file(folder, method, category)
    if not path.is_file():
        raise DataError(f"no results of {method} on {category}: {path} is missing; {_REMEDY}")
    try:
        run = Run.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(f"{path} is malformed: {place}: {first['msg']}; {_REMEDY}") from error
    found, expected = (run.study, run.method, run.category), (folder.name, method, category)
    if found != expected:
        raise DataError(f"{path} holds {'/'.join(found)}, not {'/'.join(expected)}; {_REMEDY}")
    for seed in seeds:
        _check_seed(run, seed, path)
    return run


def _check_seed(run: Run, seed: int, path: Path) -> None:
    if seed not in run.seeds:
        present = ", ".join(map(str, sorted(run.seeds))) or "none"
        raise DataError(f"{path} has no seed {seed} (it has {present}); {_REMEDY}")
    odd = sorted(METRICS.keys() ^ run.seeds[seed].keys())
    if odd:
        raise DataError(
            f"{path}, seed {seed}: missing or unknown metric {', '.join(odd)}; {_REMEDY}"
        )


def _check_same_images(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs[1:]:
        if run.digests.get("manifest") != first.digests.get("manifest"):
            raise DataError(
                f"{first.method} and {run.method} were evaluated on different manifests of "
                f"{run.category}, so they cannot be compared; {_REMEDY}"
            )
