"""The C library keeps freed memory."""

import platform
import subprocess
import sys

import pytest

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
