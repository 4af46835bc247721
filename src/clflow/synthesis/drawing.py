"""One anomaly of a bank: drawn from its seed, written, and compared with the files of the bank."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clflow.data.images import read_image, read_stored, resize_image, to_rgb8, write_png
from clflow.data.reading import NONE_IGNORED, parse_ignored, parse_reading
from clflow.data.records import Record
from clflow.data.region_of_interest import read_region
from clflow.errors import DataError
from clflow.files import atomic_path, digest_of, sha256_of
from clflow.synthesis.labels import LabelSettings
from clflow.synthesis.registry import Member, choose_member, get_generator
from clflow.synthesis.rows import BankRow, Origin
from clflow.synthesis.settings import SynthesizeSettings
from clflow.synthesis.synthetic import Synthetic

_CACHED_IMAGES = 128
_SEED_HEX_DIGITS = 12


@dataclass(frozen=True)
class Plan:
    """What all anomalies of a split share: images from `root`, PNG files into `folder`."""

    category: str
    split: str
    records: tuple[Record, ...]
    per_image: int
    root: Path
    folder: Path
    settings: SynthesizeSettings
    members: tuple[Member, ...]
    textures: tuple[Origin, ...]

    def __len__(self) -> int:
        return len(self.records) * self.per_image


@dataclass(frozen=True)
class Drawn:
    """The row of an anomaly, None where all attempts failed, and how many were made."""

    row: BankRow | None
    attempts: int


def draw(plan: Plan, index: int) -> Drawn:
    """Make anomaly `index` of a plan, write its image and mask, and return its row.

    Anomalies index = i * per_image + k lie on image i of the split. A failed attempt is followed
    by another of the same generator with its own seed and source, so that a mixture keeps its
    weights.
    """
    destination, k = _origin(plan, index // plan.per_image), index % plan.per_image
    member = _member(plan, destination, k)
    for attempt in range(plan.settings.attempts):
        seed = _seed(plan, destination, k, attempt)
        row = _row(plan, index, destination, member, seed, attempt)
        synthetic = make(row, plan.root, member.settings)
        if synthetic is not None:
            write_png(plan.folder / row.image, synthetic.image)
            write_png(plan.folder / row.mask, synthetic.mask)
            return Drawn(
                replace(row, boxes=synthetic.boxes, patches=synthetic.patches), attempt + 1
            )
    return Drawn(None, plan.settings.attempts)


def make(row: BankRow, root: Path, settings: LabelSettings) -> Synthetic | None:
    """Run a row's generator on its images with its seed; textures have a root of their own.

    Raises:
        DataError: an image is missing or has changed.
    """
    generator = get_generator(row.generator)
    textures = getattr(settings, "textures", None)
    roots = (root, root if textures is None else Path(textures))
    destination, source = (
        read_resized(folder, origin.path, origin.sha256, *row.shape, origin.reading)
        for folder, origin in zip(roots, (row.destination, row.source), strict=True)
    )
    return generator.generate(destination, source, settings, _streams(row.seed)[1])


@lru_cache(maxsize=_CACHED_IMAGES)
def read_resized(
    root: Path, name: str, sha256: str, height: int, width: int, reading: str = ""
) -> NDArray[np.uint8]:
    """Return an image resized to uint8 [height, width, 3], read-only, its content checked.

    What is ignored of it is painted over. `name` is its path relative to `root`, as is that of the
    mask which `reading` names.

    Raises:
        DataError: it is missing, damaged or has changed.
    """
    path, region = root / name, read_region(parse_ignored(reading), root)
    whole = read_image(path, parse_reading(reading), max_pixels=None)
    image = resize_image(whole if region is None else region.painted(whole), height, width)
    found = sha256_of(path)
    if found != sha256:
        raise DataError(
            f"{path} has changed: its SHA-256 is {found}, the manifest says {sha256}; restore it "
            "or run `dvc repro`"
        )
    image.flags.writeable = False
    return image


def _seed(plan: Plan, destination: Origin, k: int, attempt: int | str) -> int:
    content = _content(plan, destination)
    key = [plan.settings.seed, plan.category, plan.split, content, k, attempt]
    return int(digest_of(key)[:_SEED_HEX_DIGITS], 16)


def _content(plan: Plan, origin: Origin) -> str:
    """Return the digest of an image's file, or of its pixels where some of them are ignored."""
    if parse_ignored(origin.reading) == NONE_IGNORED:
        return origin.sha256
    size = plan.settings.size_of(plan.records[origin.index])
    pixels = read_resized(plan.root, origin.path, origin.sha256, *size, origin.reading)
    return digest_of(pixels.tobytes().hex())


def _streams(seed: int) -> list[np.random.Generator]:
    """Return two independent streams, for the choice of the source and for the generator."""
    return np.random.default_rng(seed).spawn(2)


def _member(plan: Plan, destination: Origin, k: int) -> Member:
    seed = _seed(plan, destination, k, "member")
    return choose_member(plan.members, np.random.default_rng(seed))


def _row(
    plan: Plan, index: int, destination: Origin, member: Member, seed: int, attempt: int
) -> BankRow:
    height, width = plan.settings.size_of(plan.records[destination.index])
    return BankRow(
        index=index,
        image=Path("images", f"{index:05d}.png"),
        mask=Path("masks", f"{index:05d}.png"),
        boxes=(),
        generator=member.generator,
        settings=member.settings.model_dump(mode="json"),
        label=member.settings.label,
        height=height,
        width=width,
        seed=seed,
        attempt=attempt,
        source=_source(plan, destination, member, _streams(seed)[0]),
        destination=destination,
        patches=(),
    )


def _source(plan: Plan, destination: Origin, member: Member, rng: np.random.Generator) -> Origin:
    if member.source == "same":
        return destination
    if member.source == "texture":
        return plan.textures[int(rng.integers(len(plan.textures)))]
    other = int(rng.integers(len(plan.records) - 1))
    return _origin(plan, other + (other >= destination.index))


def _origin(plan: Plan, index: int) -> Origin:
    record = plan.records[index]
    return Origin(record.path, record.sha256, index, record.reading)


def save(synthetic: Synthetic, folder: Path) -> None:
    """Write image.png, mask.png and label.npy into a folder, each whole or not.

    Raises:
        StorageError: a file cannot be written.
    """
    write_png(folder / "image.png", synthetic.image)
    write_png(folder / "mask.png", synthetic.mask)
    with atomic_path(folder / "label.npy") as partial, partial.open("wb") as file:
        np.save(file, synthetic.label)


def differences(row: BankRow, synthetic: Synthetic) -> list[str]:
    """Return what differs between a row with its files and the anomaly made again, in words.

    Raises:
        DataError: the image or the mask of the row cannot be read.
    """
    saved_mask = read_stored(row.mask)
    return [
        *_pixels("image", to_rgb8(read_stored(row.image)), synthetic.image),
        *_pixels("mask", saved_mask, synthetic.mask.astype(np.uint8) * np.uint8(255)),
        *_values("boxes", row.boxes, synthetic.boxes),
        *_values("patches", row.patches, synthetic.patches),
    ]


def _pixels(name: str, saved: NDArray[Any], again: NDArray[np.uint8]) -> Iterator[str]:
    if saved.shape != again.shape:
        yield f"{name}: saved as {list(saved.shape)}, made again {list(again.shape)}"
        return
    gaps = np.abs(saved.astype(np.int32) - again)
    if gaps.any():
        count = int(gaps.reshape(*gaps.shape[:2], -1).any(axis=2).sum())
        yield f"{name}: {count} pixel(s) differ by up to {gaps.max()} grey levels"


def _values(name: str, saved: object, again: object) -> Iterator[str]:
    if saved != again:
        yield f"{name}: saved as {saved}, made again {again}"
