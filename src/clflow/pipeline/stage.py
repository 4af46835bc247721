"""What every stage script does around its work: check settings, report errors."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from clflow.errors import ClflowError
from clflow.pipeline.params import check_params
from clflow.progress import show
from clflow.settings import parse, read_params, section
from clflow.study.settings import StudySettings


@contextmanager
def stage() -> Iterator[tuple[StudySettings, dict[str, Any]]]:
    """Yield the study and all of `params.yaml`; on a user's error, print one line and exit with 1.

    The whole file is checked before the stage starts, so that a slip in a later section is not
    found hours on.
    """
    try:
        params = read_params()
        check_params(params)
        with show():
            yield parse(StudySettings, section(params, "study"), "study"), params
    except ClflowError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error
