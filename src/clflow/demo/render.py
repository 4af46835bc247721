"""The demo data set: rendered inspection images with exact masks, laid out like MVTec AD.

Nothing is downloaded, and no defect is made the way training-time generators make theirs: each is
a change of the scene before it is lit, and its mask is what that change does to the picture.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import cv2
from pydantic import BaseModel, ConfigDict, Field

from clflow.demo.sample import CATEGORIES, Image, ImageKey, render
from clflow.errors import DataError
from clflow.files import atomic_folder, write_bytes
from clflow.progress import track

CategoryName = Literal["weave", "washer", "bolt"]


class DemoSettings(BaseModel):
    """How much to render; numbers of images are per category and, of defects, per kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    categories: tuple[CategoryName, ...] = Field(default=("weave", "washer", "bolt"), min_length=1)
    image_size: int = Field(default=256, ge=64, le=1024)
    train: int = Field(default=80, ge=1)
    test_good: int = Field(default=24, ge=1)
    per_defect: int = Field(default=8, ge=1)


DEFAULT = DemoSettings()


def render_demo(
    target: Path, seed: int = 0, settings: DemoSettings = DEFAULT, workers: int = 1
) -> None:
    """Write `<target>/<category>` in the MVTec AD layout, replacing what is there.

    An image depends on the seed, its size and its own path alone: not on how many are rendered,
    nor on the number of processes.

    Raises:
        StorageError: a folder cannot be written; a category is written whole or not at all.
        DataError: a defect does not show at the chosen image size.
    """
    with _runner(workers) as run:
        for category in settings.categories:
            keys = list(image_keys(category, seed, settings))
            with atomic_folder(target / category) as folder:
                written = run(partial(_render_file, folder, settings.image_size), keys)
                for _ in track(written, f"render {category}", total=len(keys)):
                    pass


@contextmanager
def _runner(workers: int) -> Iterator[Callable[..., Iterable[None]]]:
    if workers == 1:
        yield map
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        yield partial(pool.map, chunksize=8)


def image_keys(category: str, seed: int, settings: DemoSettings) -> Iterator[ImageKey]:
    """Yield the keys of all images of one category."""
    for index in range(settings.train):
        yield ImageKey(seed, category, "train", index)
    for index in range(settings.test_good):
        yield ImageKey(seed, category, "test", index)
    for defect in CATEGORIES[category].defects:
        for index in range(settings.per_defect):
            yield ImageKey(seed, category, "test", index, defect)


def _render_file(folder: Path, size: int, key: ImageKey) -> None:
    image, mask = render(key, size)
    kind, name = key.defect or "good", f"{key.index:03d}"
    _write_png(folder / key.split / kind / f"{name}.png", image[..., ::-1])
    if mask is not None:
        _write_png(folder / "ground_truth" / kind / f"{name}_mask.png", mask)


def _write_png(path: Path, pixels: Image) -> None:
    done, encoded = cv2.imencode(".png", pixels)
    if not done:
        raise DataError(f"{path}: {pixels.shape} cannot be encoded as PNG")
    write_bytes(path, encoded.tobytes())
