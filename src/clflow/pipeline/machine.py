"""How large a detector is: parameters, stored numbers, multiply-adds."""

import os
import platform
import re
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from clflow.detectors.protocol import Detector
from clflow.device import core_count
from clflow.study.cost import BatchLatency, Latency, Memory, Size

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
        "cores": core_count(),
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


Call = Callable[[], object]


def synchronise(device: torch.device) -> None:
    """Wait for a GPU to finish; the CPU has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(
    calls: Mapping[str, Call],
    repeats: int,
    warmup: int,
    wait: Call,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, np.ndarray]:
    """Return the seconds of each of `repeats` calls, float64 [repeats], by name.

    The calls take turns, so that a change of the machine's speed meets all of them.

    Args:
        warmup: rounds before those that count.
        wait: ends when all work that was started is done.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(warmup + repeats):
        for name, call in calls.items():
            wait()
            start = clock()
            call()
            wait()
            seconds[name].append(clock() - start)
    return {name: np.array(values[warmup:]) for name, values in seconds.items()}


def batch_latency(backbone: np.ndarray, detector: np.ndarray, batch: int) -> BatchLatency:
    """Return the latency of a batch from the seconds of each call."""
    own, bare = _latency(detector, batch), _latency(backbone, batch)
    return BatchLatency(backbone=bare, detector=own, ratio=own.median_ms / bare.median_ms)


def _latency(seconds: np.ndarray, batch: int) -> Latency:
    median, high = np.percentile(1000 * seconds, [50, 95]).tolist()
    return Latency(median_ms=median, p95_ms=high, images_per_second=1000 * batch / median)


def detector_size(detector: Detector, saved: Path) -> Size:
    """Count a fitted detector that is saved in the folder `saved`."""
    own = [value for value in vars(detector).values() if isinstance(value, nn.Module)]
    backbone = _count(detector.backbone.parameters())
    additional = _count(_beyond(detector.backbone, nn.Module.parameters, own))
    return Size(
        backbone_parameters=backbone,
        additional_parameters=additional,
        total_parameters=backbone + additional,
        stored_values=_count(_beyond(detector.backbone, nn.Module.buffers, own)),
        saved_bytes=sum(path.stat().st_size for path in saved.rglob("*") if path.is_file()),
    )


def _beyond(
    backbone: nn.Module,
    tensors: Callable[[nn.Module], Iterable[Tensor]],
    modules: Iterable[nn.Module],
) -> list[Tensor]:
    """Return the modules' tensors, each once, without the backbone's, which they may contain."""
    given = {id(tensor) for tensor in tensors(backbone)}
    found = {id(tensor): tensor for module in modules for tensor in tensors(module)}
    return [tensor for key, tensor in found.items() if key not in given]


def _count(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors)


def giga_macs(call: Callable[[], object]) -> float:
    """Return the billions of multiply-adds of a call: half of what torch counts as operations.

    Convolutions, matrix products and attention count, element-wise operations do not.
    """
    # other kernels of attention are not counted on every device
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        call()
    return counter.get_total_flops() / 2e9
