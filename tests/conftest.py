"""Settings of all tests, fixtures of the tracking tests: a store takes seconds to set up."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from tracked_study import write_model

from clflow.progress import show

# most tests compare to the last bit what no two devices agree on; those of devices say which
os.environ.setdefault("CLFLOW_DEVICE", "cpu")

# how long an example takes says nothing about the code
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

SYNC = """
from pathlib import Path
from clflow.tracking.sync import sync
report = sync(Path())
print("counts", report.created, report.updated, report.unchanged)
"""


@pytest.fixture(autouse=True)
def progress() -> Iterator[None]:
    """Show progress as stages do: tests read what a stage would print."""
    with show():
        yield


@pytest.fixture
def default_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what the user's environment says of tracking."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("CLFLOW_TRACKING", raising=False)


@pytest.fixture(scope="session")
def race(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[int, str, str]]]:
    """Return where two processes made a store at once, and the exit code and output of each."""
    root = tmp_path_factory.mktemp("race")
    write_model(root, study="race")
    environment = {name: value for name, value in os.environ.items() if "TRACKING" not in name}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SYNC],
            cwd=root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate() for process in processes]
    return root, [(p.returncode, *out) for p, out in zip(processes, outputs, strict=True)]


@pytest.fixture
def root(race: tuple[Path, Any], tmp_path: Path) -> Path:
    """Return a folder that holds nothing but a store."""
    shutil.copy(race[0] / "mlflow.db", tmp_path / "mlflow.db")
    return tmp_path
