"""What the machine offers a run: the device that computes, its memory and cores; exact repeats."""

import ctypes
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from clflow.errors import SettingsError

if TYPE_CHECKING:
    import torch


_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_NEVER = -1


def keep_freed_memory() -> None:
    """Let freed memory wait for the next tensor instead of going back to the system.

    glibc maps large blocks anew each time, and each first touch of a page is a fault: on a CPU
    that can be half the time of a network (benchmarks/backbone.md). Elsewhere nothing is done.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, _NEVER)


def pick_device(device: "str | torch.device | None" = None) -> "torch.device":
    """Return the device asked for; without one, the variable CLFLOW_DEVICE, CUDA or the CPU.

    Raises:
        SettingsError: it is no usable device.
    """
    import torch

    variable = os.environ.get("CLFLOW_DEVICE") if device is None else None
    chosen = device or variable or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros((), device=chosen).device
    except (RuntimeError, AssertionError, TypeError) as error:
        name, remedy = (
            (f"CLFLOW_DEVICE={variable!r}", "unset it")
            if variable
            else (f"device={device!r}", "None")
        )
        message = f"{name} is no usable device: use 'cpu' or 'cuda', or {remedy}"
        raise SettingsError(message) from error


@contextmanager
def exact_repeats() -> Iterator[None]:
    """Within the block torch refuses operations whose result varies from run to run.

    Global state, that of torch's generator on the CPU too, is left as it was found.
    """
    import torch

    # cuBLAS reads it at start-up; without it matrix products on a GPU differ from run to run
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.get_deterministic_debug_mode()
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.set_deterministic_debug_mode("error")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_deterministic_debug_mode(before)
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]


def prepare_torch() -> None:
    """Make torch refuse operations whose result varies from run to run, and keep freed memory."""
    # cuBLAS reads it at start-up; without it matrix products on a GPU differ from run to run
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    keep_freed_memory()
    # as use_deterministic_algorithms(True), without importing the compiler
    torch.set_deterministic_debug_mode("error")
    # every new tensor would be filled first: no operation reads what was not written
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def worker_count() -> int:
    """Return how many processes a stage may use: CLFLOW_WORKERS, else the cores there are.

    Raises:
        SettingsError: CLFLOW_WORKERS is no positive number.
    """
    value = os.environ.get("CLFLOW_WORKERS")
    if not value:
        return core_count()
    if not re.fullmatch("[1-9][0-9]*", value):
        raise SettingsError(f"CLFLOW_WORKERS is {value!r}: set it to 1 or more, or unset it")
    return int(value)


def core_count() -> int:
    """Return how many cores this process may use; on macOS, how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
