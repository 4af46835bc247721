"""When a model was trained, and for how long.

run.json and the other outputs of a stage are the same bytes in every run, so times are kept beside
them: in a file named after the key of the run, which DVC neither hashes nor removes. Without it, as
in a fresh clone, only the age of the run's files is known.
"""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from clflow.errors import DataError
from clflow.files import write_json
from clflow.study.training import FAILURE, TrainedRun

TIMES = Path(".clflow/times")


@dataclass(frozen=True)
class Span:
    """Start and end [ms since 1970]; `seconds` is None where a length is not known."""

    start: int
    end: int
    seconds: float | None = None


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    end: int = Field(gt=0)
    seconds: FiniteFloat = Field(gt=0)


def record_training(root: Path, run: TrainedRun, seconds: float) -> None:
    """Note how long the training of a run took that has just ended.

    Raises:
        StorageError: the note cannot be written.
    """
    write_json(_file(root, run), {"end": _written(run), "seconds": seconds})


def training_span(root: Path, run: TrainedRun) -> Span:
    """Return when a run was trained: as noted, else when its description was written.

    Raises:
        DataError: the note is malformed.
    """
    path = _file(root, run)
    if not path.is_file():
        return file_span(_description(run))
    try:
        record = _Record.model_validate_json(path.read_bytes())
    except ValidationError as error:
        message = f"{path} is no note of a training's time: delete it, only the time is lost"
        raise DataError(message) from error
    return Span(record.end - round(1000 * record.seconds), record.end, record.seconds)


def file_span(*paths: Path) -> Span:
    """Return the moment at which the last of these files was written, as a span of no length."""
    end = max(path.stat().st_mtime_ns for path in paths) // 1_000_000
    return Span(end, end)


def _file(root: Path, run: TrainedRun) -> Path:
    return root / TIMES / f"{run.key}.json"


def _description(run: TrainedRun) -> Path:
    return run.folder / ("run.json" if run.description.failure is None else FAILURE)


def _written(run: TrainedRun) -> int:
    return file_span(_description(run)).end
