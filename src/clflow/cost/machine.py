"""What a measured time or memory depends on, in words."""

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import torch

LIBRARIES = ("torch", "timm", "numpy", "opencv-python")


def use_threads(count: int | None) -> None:
    """Limit torch and OpenCV to `count` threads; None leaves them their own choice."""
    if count is not None:
        torch.set_num_threads(count)
        cv2.setNumThreads(count)


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Return device, processor, cores, threads, load, system and versions."""
    return {
        "device": device.type,
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "opencv_threads": cv2.getNumThreads(),
        "load_average": round(os.getloadavg()[0], 2),
        "system": platform.system(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in LIBRARIES},
    }


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name as Linux tells it, elsewhere as Python does."""
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.is_file() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()
