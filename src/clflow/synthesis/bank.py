"""Banks of synthetic anomalies: announced in words, written, read, and made again row by row."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from clflow.data.records import Manifest
from clflow.errors import DataError, SettingsError
from clflow.files import atomic_folder, write_json, write_text
from clflow.progress import say, track
from clflow.synthesis.background import MEASURED_IMAGES, Decision, decide, spread
from clflow.synthesis.drawing import Drawn, Plan, draw, make, read_resized
from clflow.synthesis.registry import Member, find_members, get_generator
from clflow.synthesis.rows import MANIFEST, BankRow, Origin, read_rows, to_line
from clflow.synthesis.settings import SynthesizeSettings
from clflow.synthesis.synthetic import Synthetic
from clflow.synthesis.textures import texture_origins
from clflow.synthesis.training_data import SUMMARY

SPLITS = ("train", "validation")

Run = Callable[[Callable[[int], Drawn], range], Iterable[Drawn]]


@dataclass(frozen=True)
class SplitCounts:
    """Anomalies asked for, written and given up, the attempts that took, and by which generator."""

    asked: int
    written: int
    failed: int
    attempts: int
    generators: dict[str, int]


@dataclass(frozen=True)
class BankSummary:
    """What a bank was made from and what came out; the content of bank.json.

    resolved holds the settings of each generator for the category.
    """

    dataset: str
    category: str
    manifest: str
    synthesize: dict[str, Any]
    resolved: dict[str, dict[str, Any]]
    background: dict[str, Any] | None
    reason: str
    splits: dict[str, SplitCounts]
    libraries: dict[str, str]


def write_bank(
    manifest: Manifest,
    root: Path,
    out: Path,
    dataset: str,
    settings: SynthesizeSettings,
    workers: int = 1,
) -> BankSummary:
    """Write the folder `out`, whole or not: anomalies on train and on validation images, apart.

    Source and destination of an anomaly are images of its own split, and textures are split too, so
    nothing of a training image reaches validation. The pixels depend on neither `workers` nor their
    order. `root` is the folder that the manifest's paths are relative to.

    Raises:
        SettingsError: the generator is unknown, or there is no worker.
        DataError: an image is missing or has changed, a split has a single image where a generator
            needs another, or more than half of a split's anomalies fail.
    """
    if workers < 1:
        raise SettingsError(f"workers is {workers}; at least 1 process is needed")
    decision = decide_on(manifest, root, dataset, settings)
    members = find_members(decision, settings)
    say(f"{dataset}/{manifest.category}: {decision.reason}")
    with atomic_folder(out) as folder, _runner(workers) as run:
        splits = {
            split: _write_split(_plan(manifest, split, root, folder, settings, members), run)
            for split in SPLITS
        }
        summary = _summary(manifest, dataset, settings, decision, members, splits)
        write_json(folder / SUMMARY, asdict(summary))
    return summary


def read_bank(folder: Path, split: str) -> tuple[BankRow, ...]:
    """Return the rows of a bank's split, train or validation, with whole paths.

    Raises:
        SettingsError: there is no such split.
        DataError: the manifest is missing or damaged.
    """
    if split not in SPLITS:
        raise SettingsError(f"unknown split {split!r} of a bank: allowed are {', '.join(SPLITS)}")
    return read_rows(folder / split)


def rebuild(row: BankRow, root: Path) -> Synthetic:
    """Make a row's anomaly again from its two images under `root`: the pixels that were saved.

    Raises:
        DataError: an image is missing or has changed, or nothing comes out.
    """
    settings = get_generator(row.generator).load(row.settings)
    synthetic = make(row, root, settings)
    if synthetic is None:
        raise DataError(
            f"anomaly {row.index} cannot be rebuilt: its seed {row.seed} finds no place now; "
            "install the library versions named in bank.json"
        )
    return synthetic


def decide_on(
    manifest: Manifest, root: Path, dataset: str, settings: SynthesizeSettings
) -> Decision:
    """Decide whether a prepared category is an object or a texture; see `decide`.

    Raises:
        DataError: a training image is missing or has changed.
    """
    images = [
        read_resized(root, record.path, record.sha256, *settings.size_of(record), record.reading)
        for record in spread(manifest.train, MEASURED_IMAGES)
    ]
    return decide(dataset, manifest.category, settings, images)


def _plan(
    manifest: Manifest,
    split: str,
    root: Path,
    folder: Path,
    settings: SynthesizeSettings,
    members: tuple[Member, ...],
) -> Plan:
    train = split == "train"
    return Plan(
        category=manifest.category,
        split=split,
        records=manifest.train if train else manifest.validation,
        per_image=settings.per_image if train else settings.validation_per_image,
        root=root,
        folder=folder / split,
        settings=settings,
        members=members,
        textures=_textures(members, split),
    )


def _textures(members: tuple[Member, ...], split: str) -> tuple[Origin, ...]:
    folders = {getattr(m.settings, "textures", None) for m in members if m.source == "texture"}
    return tuple(origin for folder in folders for origin in texture_origins(str(folder), split))


def _write_split(plan: Plan, run: Run) -> SplitCounts:
    _check_images(plan)
    drawn = run(partial(draw, plan), range(len(plan)))
    results = list(track(drawn, f"synthesize {plan.category} {plan.split}", len(plan)))
    rows = [result.row for result in results if result.row is not None]
    counts = SplitCounts(
        asked=len(plan),
        written=len(rows),
        failed=len(plan) - len(rows),
        attempts=sum(result.attempts for result in results),
        generators=dict(sorted(Counter(row.generator for row in rows).items())),
    )
    _check_failures(plan, counts)
    write_text(plan.folder / MANIFEST, "".join(to_line(row) + "\n" for row in rows))
    return counts


def _check_images(plan: Plan) -> None:
    needed = 2 if any(member.source == "other" for member in plan.members) else 1
    if plan.per_image and len(plan.records) < needed:
        raise DataError(
            f"split {plan.split} of {plan.category} has {len(plan.records)} image(s); an anomaly "
            f"of {plan.settings.generator} needs {needed}, the image and another to take a patch "
            "from: change the split, ask for none (validation_per_image 0), or choose cutpaste"
        )


def _check_failures(plan: Plan, counts: SplitCounts) -> None:
    if 2 * counts.failed > counts.asked:
        raise DataError(
            f"{counts.failed} of {counts.asked} anomalies of {plan.category} ({plan.split}) found "
            f"no place in {plan.settings.attempts} attempts each; set synthesize.kind, lower "
            "minimum_object or minimum_overlap, raise image_size or the half-width bounds, or "
            "choose another generator"
        )


def _summary(
    manifest: Manifest,
    dataset: str,
    settings: SynthesizeSettings,
    decision: Decision,
    members: tuple[Member, ...],
    splits: dict[str, SplitCounts],
) -> BankSummary:
    measured = decision.measured
    return BankSummary(
        dataset=dataset,
        category=manifest.category,
        manifest=manifest.digest,
        synthesize=settings.model_dump(mode="json"),
        resolved={m.generator: m.settings.model_dump(mode="json") for m in members},
        background=None if measured is None else asdict(measured),
        reason=decision.reason,
        splits=splits,
        libraries={"numpy": np.__version__, "opencv": cv2.__version__},
    )


@contextmanager
def _runner(workers: int) -> Iterator[Run]:
    """Yield a map in this process, or over that many fresh ones that do not thread further."""
    if workers == 1:
        with threadpool_limits(1):
            yield map
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_stay_on_one_core) as pool:
        yield partial(pool.map, chunksize=8)


def _stay_on_one_core() -> None:
    cv2.setNumThreads(1)
    threadpool_limits(1)


def announce(manifest: Manifest, root: Path, dataset: str, settings: SynthesizeSettings) -> None:
    """Print the kind of a prepared category, why, and what its generators will do differently.

    Raises:
        DataError: a training image is missing or has changed, or a texture folder is empty.
    """
    decision = decide_on(manifest, root, dataset, settings)
    say(f"{manifest.category}: {decision.reason}")
    for member in find_members(decision, settings):
        say(f"{manifest.category}: {'; '.join(_words(member))}")


def _words(member: Member) -> Iterator[str]:
    share = "" if member.weight == 1 else f" ({member.weight:.0%} of the anomalies)"
    own = member.settings.model_dump(exclude_defaults=True)
    yield f"generator {member.generator}{share}" + ("" if own else ", its own defaults")
    for name, value in own.items():
        between = " ± " if name == "background" else " to "
        yield f"{name} {_rounded(value, between)}"


def _rounded(value: Any, between: str = "") -> str:
    if isinstance(value, tuple):
        return between.join(map(_rounded, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)
