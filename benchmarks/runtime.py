"""How long an exported detector takes: PyTorch, ONNX Runtime and OpenVINO beside the bare backbone.

Detectors are fitted on noise in a moment: how long one scores does not depend on what it learned.
Every measurement runs in its own process, with one or two threads for all that computes.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import typer

SIZE = 256
ENGINES = ("onnx", "openvino")
REPEATS = 40
COLD_STARTS = 5

# a fresh process that decides on one image, and says when; nothing else is imported
FIRST_DECISION = """
import sys, time
start = time.perf_counter()
import numpy as np
from clflow.runtime import Engine
imported = time.perf_counter()
Engine(sys.argv[1]).score([np.zeros((512, 512, 3), np.uint8)])
print(imported - start, time.perf_counter() - start)
"""
FIRST_BY_TORCH = """
import sys, time
start = time.perf_counter()
import clflow, numpy as np
clflow.load(sys.argv[1]).predict(np.zeros((512, 512, 3), np.uint8))
print(0.0, time.perf_counter() - start)
"""


def main(method: str = "clflow") -> None:
    """Print tables in Markdown: milliseconds and memory, then seconds to a first decision."""
    # what measures must not count in the memory of what is measured
    import pandas as pd

    with TemporaryDirectory() as name:
        folder = Path(name)
        _run({}, "prepare", str(folder), method)
        rows = [
            _measured(folder, what, registered, threads)
            for threads in (1, 2)
            for registered in (False, True)
            for what in ("torch", *ENGINES)
        ]
        print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".2f"))
        print(pd.DataFrame(_cold_starts(folder)).to_markdown(index=False, floatfmt=".2f"))


def _measured(folder: Path, what: str, registered: bool, threads: int) -> dict[str, Any]:
    arguments = ("measure", str(folder), what, str(int(registered)), str(threads))
    found = json.loads(_run(_limited(threads), *arguments).splitlines()[-1])
    label = {"threads": threads, "registered": "yes" if registered else "no", "engine": what}
    ratios = {
        f"ratio {batch}": found[f"detector {batch} (ms)"] / found[f"backbone {batch} (ms)"]
        for batch in (1, 16)
    }
    return label | found | ratios


def _limited(threads: int) -> dict[str, str]:
    return {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


def _run(environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, __file__, *arguments]
    return subprocess.check_output(command, text=True, env=os.environ | environment)


def _cold_starts(folder: Path) -> list[dict[str, Any]]:
    rows = []
    for registered in (False, True):
        saved = folder / _name(registered)
        for what in ("torch", *ENGINES):
            program = FIRST_BY_TORCH if what == "torch" else FIRST_DECISION
            command = [sys.executable, "-c", program, str(saved / what)]
            found = []
            for _ in range(COLD_STARTS):
                start = time.perf_counter()
                output = subprocess.check_output(command, text=True)
                found.append((time.perf_counter() - start, *map(float, output.split())))
            whole, imported, _ = np.median(found, 0)
            rows.append(
                {
                    "registered": "yes" if registered else "no",
                    "engine": what,
                    "whole process (s)": whole,
                    "of it import (s)": imported if what != "torch" else np.nan,
                }
            )
    return rows


def _name(registered: bool) -> str:
    return "registered" if registered else "plain"


def prepare(folder: Path, method: str) -> None:
    """Write detectors and exports, registered and not, and the bare backbone of each engine."""
    import clflow
    from clflow.detectors.registry import find_method
    from clflow.export.writing import export_detector

    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8) for _ in range(12)]
    section = "alignment" if "alignment" in find_method(method).defaults else "image_alignment"
    for registered in (False, True):
        kind = "registration" if registered else "none"
        options: dict[str, Any] = {section: {"kind": kind, "decide": False}}
        if "training" in find_method(method).defaults:
            options["training"] = {"steps": 1}
        detector = clflow.fit(noise, method=method, device="cpu", **options)
        detector.save(folder / _name(registered) / "torch")
        for engine in ENGINES:
            export_detector(detector.detector_, folder / _name(registered) / engine, engine)
    _write_backbone(detector.detector_, folder)


def _write_backbone(detector: Any, folder: Path) -> None:
    import torch

    from clflow.export.levels import Levels
    from clflow.export.writing import write_graph

    pixels = torch.zeros(3, SIZE, SIZE, 3, dtype=torch.uint8)
    for engine, suffix in (("onnx", ".onnx"), ("openvino", ".xml")):
        graph = Levels(detector.store).eval()
        names = [f"level_{index}" for index in graph.levels]
        write_graph(graph, pixels, folder / f"backbone-{engine}{suffix}", names)


def measure(folder: Path, what: str, registered: bool, threads: int) -> None:
    """Print milliseconds of detector and backbone, and the process's memory, as JSON."""
    import resource

    import cv2

    cv2.setNumThreads(threads)
    found: dict[str, float] = {}
    score, backbone = (
        _torch(folder, registered, threads)
        if what == "torch"
        else _engine(folder, what, registered, threads)
    )
    rng = np.random.default_rng(0)
    for batch in (1, 16):
        images = [rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8) for _ in range(batch)]
        pixels = np.stack(images)
        # in turns, so that what else the machine does falls on both alike
        found |= _turns(
            {
                f"detector {batch} (ms)": partial(score, images),
                f"backbone {batch} (ms)": partial(backbone, pixels),
            },
            REPEATS if batch == 1 else REPEATS // 4,
        )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found[f"memory {batch} (MiB)"] = peak / 1024
    print(json.dumps(found))


def _turns(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Return the least milliseconds of each call: what the machine does beside only adds."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats + 2):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: 1000 * min(times[2:]) for name, times in seconds.items()}


Scorer = Callable[[list[np.ndarray]], Any]


def _torch(folder: Path, registered: bool, threads: int) -> tuple[Scorer, Callable[..., Any]]:
    import torch

    import clflow
    from clflow.data.images import ArrayImages
    from clflow.device import keep_freed_memory

    keep_freed_memory()
    torch.set_num_threads(threads)
    detector = clflow.load(folder / _name(registered) / "torch", device="cpu").detector_
    lean = detector.backbone.lean()  # type: ignore[operator]
    return (
        lambda images: detector.score(ArrayImages(images)),
        lambda pixels: lean(torch.from_numpy(pixels).permute(0, 3, 1, 2)),
    )


def _engine(
    folder: Path, what: Any, registered: bool, threads: int
) -> tuple[Scorer, Callable[..., Any]]:
    from clflow.runtime.engine import Engine
    from clflow.runtime.sessions import open_session

    suffix = {"onnx": ".onnx", "openvino": ".xml"}[what]
    backbone = open_session(folder / f"backbone-{what}{suffix}", what, threads)
    return Engine(folder / _name(registered) / what, threads).score, backbone


if __name__ == "__main__":
    if sys.argv[1:2] == ["prepare"]:
        prepare(Path(sys.argv[2]), sys.argv[3])
    elif sys.argv[1:2] == ["measure"]:
        measure(Path(sys.argv[2]), sys.argv[3], sys.argv[4] == "1", int(sys.argv[5]))
    else:
        typer.run(main)
