"""Reading back a stage's JSON file, checked against the model it was written from."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from clflow.errors import DataError

Model = TypeVar("Model", bound=BaseModel)


def read_report(path: Path, model: type[Model], stage: str) -> Model:
    """Return the content of a file that a stage wrote.

    Raises:
        DataError: the file is malformed; the stage to run again is named.
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        message = f"{path} is malformed: {place}: {first['msg']}; run `dvc repro --force {stage}`"
        raise DataError(message) from error
