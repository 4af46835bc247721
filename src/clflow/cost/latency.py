"""How long calls take."""

import time
from collections.abc import Callable, Mapping

import numpy as np
import torch

from clflow.cost.report import BatchLatency, Latency

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
