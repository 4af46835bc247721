"""How the C library hands out memory."""

import ctypes
import sys

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
