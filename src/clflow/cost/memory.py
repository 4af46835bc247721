"""How much memory this process has taken at most."""

import re
import resource
import sys
from pathlib import Path

import torch

from clflow.cost.report import Memory


def peak_resident_bytes(status: Path = Path("/proc/self/status")) -> int:
    """Return the highest resident set since this program started.

    Linux keeps it per program (VmHWM); the portable figure would count what the parent held when it
    forked.
    """
    text = status.read_text(encoding="utf-8") if status.is_file() else ""
    found = re.search(r"^VmHWM:\s*(\d+) kB$", text, re.MULTILINE)
    if found:
        return 1024 * int(found[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def memory_since(imports: int, device: torch.device) -> Memory:
    """Return the peaks by now; `imports` is that from before the work began."""
    gpu = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return Memory(imports_bytes=imports, peak_bytes=peak_resident_bytes(), gpu_peak_bytes=gpu)
