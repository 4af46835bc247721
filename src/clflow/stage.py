"""What every stage script does around its work: check settings, report errors, repeat exactly."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from clflow.errors import ClflowError, SettingsError
from clflow.params import parse, read_params, section
from clflow.study.settings import StudySettings

# cuBLAS reads it at start-up; without it matrix products on a GPU differ from run to run
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@contextmanager
def stage() -> Iterator[tuple[StudySettings, dict[str, Any]]]:
    """Yield the study and all of `params.yaml`; on a user's error, print one line and exit with 1.

    The whole file is checked before the stage starts, so that a slip in a later section is not
    found hours on. The checker is imported by name because it cannot change what a stage writes.
    """
    try:
        params = read_params()
        import_module("clflow.schema").check_params(params)
        yield parse(StudySettings, section(params, "study"), "study"), params
    except ClflowError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error


def prepare_torch() -> None:
    """Make torch refuse operations whose result varies from run to run, and keep freed memory."""
    # by name: memory cannot change what a stage writes
    import_module("clflow.allocator").keep_freed_memory()
    torch = import_module("torch")
    # as use_deterministic_algorithms(True), without importing the compiler
    torch.set_deterministic_debug_mode("error")
    # every new tensor would be filled first: no operation reads what was not written
    torch.utils.deterministic.fill_uninitialized_memory = False


def worker_count() -> int:
    """Return how many processes a stage may use: CLFLOW_WORKERS, else the cores there are.

    Raises:
        SettingsError: CLFLOW_WORKERS is no positive number.
    """
    value = os.environ.get("CLFLOW_WORKERS")
    if not value:
        return len(os.sched_getaffinity(0))
    if not re.fullmatch("[1-9][0-9]*", value):
        raise SettingsError(f"CLFLOW_WORKERS is {value!r}: set it to 1 or more, or unset it")
    return int(value)


def track(event: str, *details: Any) -> None:
    """Log an event of `clflow.tracking.live` to MLflow, which never changes or stops a stage."""
    getattr(import_module("clflow.tracking.live"), event)(*details)


def announce_synthesis(*details: Any) -> None:
    """Print what anomalies will be made; by name, because it cannot change what a stage writes."""
    import_module("clflow.synthesis.announce").announce(*details)
