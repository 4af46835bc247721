"""How fast each generator makes anomalies, beside the bare cost of `cv2.seamlessClone`.

Run after `dvc repro` (the manifest is read): `python benchmarks/bench_synthesis.py bottle`. One
process, one thread, images already read and resized. "bare clone" is OpenCV's seamlessClone on the
very patches that the generator blended, nothing else; "overhead" is what the whole anomaly costs
beyond that. The bank's own rate, with reading and PNG, is for all processes together.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import pandas as pd
import typer
from threadpoolctl import threadpool_limits

from clflow.data.records import Manifest, read_manifest
from clflow.device import worker_count
from clflow.pipeline.params import load_study
from clflow.study.paths import StudyPaths
from clflow.study.settings import StudySettings
from clflow.synthesis import blending as paste
from clflow.synthesis import fpi as pii
from clflow.synthesis.bank import decide_on, write_bank
from clflow.synthesis.drawing import read_resized
from clflow.synthesis.registry import GENERATORS, find_members, get_generator
from clflow.synthesis.settings import SynthesizeSettings

REPEATS = 5
MODES = {"normal": cv2.NORMAL_CLONE, "mixed": cv2.MIXED_CLONE}


@dataclass
class Blends:
    """The blends that were asked for, to be repeated with OpenCV alone."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Record every blend while the block runs."""
        real = paste.seamless_clone

        def clone(*args: Any) -> Any:
            self.calls.append(args)
            return real(*args)

        with (
            patch.object(paste, "seamless_clone", clone),
            patch.object(pii, "seamless_clone", clone),
        ):
            yield

    def repeat_bare(self) -> None:
        """Blend all of them again with OpenCV."""
        for image, pixels, mask, (y, x), mode, factor in self.calls:
            bare = np.zeros(mask.shape, np.uint8)
            bare[1:-1, 1:-1] = np.where(mask[1:-1, 1:-1], int(np.ceil(255 * factor)), 0)
            left, top, width, height = cv2.boundingRect(bare)
            if min(width, height) > 2:
                centre = (x + left + width // 2, y + top + height // 2)
                cv2.seamlessClone(pixels, image, bare, centre, MODES[mode])


def seconds(work: Callable[[], object]) -> float:
    """Return the shortest of some runs."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def measure(name: str, manifest: Manifest, study: StudySettings, count: int) -> dict[str, Any]:
    """Return the speed of one generator."""
    settings = SynthesizeSettings(generator=name, per_image=1, validation_per_image=0)
    root, records = study.root_of(manifest.category), manifest.train[: count + 1]
    side = settings.image_size
    images = [read_resized(root, r.path, r.sha256, side, side) for r in records]
    (member,) = find_members(decide_on(manifest, root, study.dataset, settings), settings)
    generator = get_generator(name)

    def generate() -> None:
        for seed, (destination, source) in enumerate(pairwise(images)):
            image = destination if member.source == "same" else source
            generator.generate(destination, image, member.settings, np.random.default_rng(seed))

    blends = Blends()
    with blends.recorded():
        generate()
    whole, bare = seconds(generate) / count, seconds(blends.repeat_bare) / count
    return {
        "generator": name,
        "anomaly (ms)": 1000 * whole,
        "bare clone (ms)": 1000 * bare if blends.calls else None,
        "overhead": f"{whole / bare - 1:+.0%}" if blends.calls else "",
        "anomalies/s": 1 / whole,
        "bank, PNG included (images/s)": bank_rate(manifest, study, settings),
    }


def bank_rate(manifest: Manifest, study: StudySettings, settings: SynthesizeSettings) -> float:
    """Return the anomalies written a second by the synthesize stage, starting included."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        bank = Path(folder, "bank")
        whole = settings.model_copy(update={"per_image": 4})
        root = study.root_of(manifest.category)
        summary = write_bank(manifest, root, bank, study.dataset, whole, worker_count())
        return summary.splits["train"].written / (time.perf_counter() - start)


def main(category: str, count: int = 60) -> None:
    """Print one row per generator as Markdown."""
    cv2.setNumThreads(1)
    study = load_study()
    manifest = read_manifest(StudyPaths(study.name).manifest(category))
    with threadpool_limits(1):
        rows = [measure(name, manifest, study, count) for name in GENERATORS]
    print(f"\n{category}, {worker_count()} processes for the bank\n")
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".1f", missingval=""))


if __name__ == "__main__":
    typer.run(main)
