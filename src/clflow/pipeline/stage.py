"""What every stage script does around its work: check settings, report errors."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from clflow.errors import ClflowError
from clflow.pipeline.params import Params, load_params
from clflow.progress import show


@contextmanager
def stage() -> Iterator[Params]:
    """Yield all of `params.yaml`; on a user's error, print one line and exit with 1.

    The whole file is checked before the stage starts, so that a slip in a later section is not
    found hours on.
    """
    try:
        params = load_params()
        with show():
            yield params
    except ClflowError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error
