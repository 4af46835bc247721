"""What the machine offers, and that the C library keeps freed memory."""

import os
import platform
import subprocess
import sys

import pytest

from clflow.device import core_count, worker_count

FAULTS = """
import resource, sys
from ctypes import create_string_buffer
from clflow.device import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    create_string_buffer(b"x" * (64 << 20))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has this setting")
def test_freed_memory_is_not_mapped_again() -> None:
    found = {
        how: int(
            subprocess.run(
                [sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True
            ).stdout
        )
        for how in ("kept", "returned")
    }
    assert found["kept"] < 100 < found["returned"]


def test_cores_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert core_count() == 3


@pytest.mark.parametrize(("counted", "expected"), [(6, 6), (None, 1)])
def test_cores_where_a_process_is_not_bound_to_some(
    counted: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # as on macOS
    monkeypatch.delenv("CLFLOW_WORKERS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: counted)
    assert (core_count(), worker_count()) == (expected, expected)
