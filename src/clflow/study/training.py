"""What the train stage leaves of a model: its description, its curves, or why there is none."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from clflow.detectors.saved import FAILURE
from clflow.errors import DataError
from clflow.files import digest_of, malformed, sha256_of
from clflow.study.paths import StudyPaths
from clflow.study.runs import RunResult, read_result

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Point:
    """One value of a metric."""

    name: str
    value: float
    step: int = 0


class Description(BaseModel):
    """run.json, or failed.json: what a model was, or would have been, made from."""

    model_config = ConfigDict(frozen=True)

    study: str
    dataset: str
    category: str
    method: str
    seed: int
    settings: dict[str, Any]
    digests: dict[str, str]
    versions: dict[str, str]
    device: str
    failure: str | None = None


@dataclass(frozen=True)
class TrainedRun:
    """One trained model, or why there is none.

    `key` is the digest of its description, curves and model.json; of the first where it failed.
    """

    folder: Path
    description: Description
    key: str

    @property
    def history(self) -> Path:
        """Training curves, one row per logged step."""
        return self.folder / "history.csv"

    @property
    def model(self) -> Path:
        """What the weights belong to."""
        return self.folder / "model.json"

    @property
    def weights(self) -> Path:
        """The weights."""
        return self.folder / "model.safetensors"

    @property
    def sheet(self) -> Path:
        """Good images before and after alignment, where the model aligns images."""
        return self.folder / "alignment.png"

    @property
    def files(self) -> tuple[Path, ...]:
        """What is logged with the run, where it is there."""
        failed = self.description.failure is not None
        return (self.folder / FAILURE,) if failed else (self.model, self.history, self.sheet)


def load_training(root: Path, study: str, method: str, category: str, seed: int) -> TrainedRun:
    """Return a trained run.

    Raises:
        DataError: a file is missing, malformed or belongs to another run.
    """
    folder = root / StudyPaths(study).model(method, category, seed)
    failed = (folder / FAILURE).is_file()
    path = folder / (FAILURE if failed else "run.json")
    content = read_json(path)
    description = parse_record(Description, content, path)
    place = {"study": study, "method": method, "category": category, "seed": seed}
    check_place(description, place, path)
    if failed:
        return TrainedRun(folder, description, digest_of({"run": content}))
    history, model = folder / "history.csv", read_json(folder / "model.json")
    if not history.is_file():
        raise DataError(f"{history} is missing; run `dvc repro` or `dvc checkout` to restore it")
    key = digest_of({"run": content, "history": sha256_of(history), "model": model})
    return TrainedRun(folder, description, key)


def load_result(root: Path, study: str, method: str, category: str) -> RunResult:
    """Return the metrics of one method on one category.

    Raises:
        DataError: the file is missing, malformed or belongs to other models.
    """
    return read_result(root / StudyPaths(study).results, method, category)


def load_curves(path: Path) -> list[Point]:
    """Return the points of every column of history.csv but `step` and `epoch`; blanks are left out.

    Raises:
        DataError: a value is not a number.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [point for row in csv.DictReader(file) for point in _row_points(row)]
    except (KeyError, TypeError, ValueError) as error:
        message = f"{path} is not a table of numbers with a column step ({error}); run `dvc repro`"
        raise DataError(message) from error


def _row_points(row: Mapping[str, str]) -> Iterator[Point]:
    step = int(row["step"])
    for name, value in row.items():
        if name not in ("step", "epoch") and value:
            yield Point(name, float(value), step)


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings under dotted names; values that are not text are written as JSON."""
    flat: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value if isinstance(value, str) else json.dumps(value)
    return flat


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        DataError: it is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        message = f"{path} is missing; run `dvc repro` or `dvc checkout` to restore it"
        raise DataError(message) from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}; run `dvc repro` to rewrite it") from error


def parse_record(model: type[Model], content: Any, path: Path) -> Model:
    """Return the record that a file's content is.

    Raises:
        DataError: a key is missing, or a value is of the wrong kind.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise malformed(path, error) from error


def check_place(record: BaseModel, expected: Mapping[str, object], path: Path) -> None:
    """Check that a file holds what its place says, a value for each field of `expected`.

    Raises:
        DataError: it was moved by hand.
    """
    for name, value in expected.items():
        found = getattr(record, name)
        if found != value:
            raise DataError(
                f"{path} was written for {name} {found!r}, but its place is that of {value!r}; "
                f"results are not moved by hand: run `dvc repro`"
            )
