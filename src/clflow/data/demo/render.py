"""The demo data set: rendered inspection images with exact masks, laid out like MVTec AD.

Nothing is downloaded, and no defect is made the way training-time generators make theirs: each is
a change of the scene before it is lit, and its mask is what that change does to the picture.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from clflow.data.demo.bolt import BOLT
from clflow.data.demo.scene import SUPERSAMPLING, Array, Camera, Category, expose, read_out
from clflow.data.demo.washer import WASHER
from clflow.data.demo.weave import WEAVE
from clflow.errors import DataError
from clflow.files import atomic_folder, write_bytes
from clflow.progress import track

Image = NDArray[np.uint8]
CategoryName = Literal["weave", "washer", "bolt"]

CATEGORIES: dict[str, Category[Any]] = {"weave": WEAVE, "washer": WASHER, "bolt": BOLT}

MASK_LEVEL = 4.0
"""A pixel is anomalous if the defect changes one of its channels by more grey levels than this."""
LEAST_CONTRAST = 6.0
"""Mean change, in grey levels, that a defect must make inside its mask."""
_LEAST_AREA = 3e-4
_ATTEMPTS = 30


@dataclass(frozen=True)
class ImageKey:
    """What an image depends on besides its size; `defect` is empty for a flawless one."""

    seed: int
    category: str
    split: str
    index: int
    defect: str = ""

    def generator(self, purpose: str) -> np.random.Generator:
        """Return the generator of one purpose, independent of every other image and purpose."""
        names = (self.category, self.split, self.defect, purpose)
        words = [zlib.crc32(name.encode()) for name in names]
        return np.random.default_rng([self.seed, self.index, *words])


@dataclass(frozen=True)
class Exposure:
    """The noise-free grey levels [H, W, 3] of one scene without and with its defect."""

    flawless: Array
    defective: Array
    camera: Camera

    def mask(self) -> Image:
        """Return where the two differ, closed, as 0 and 255; [H, W]."""
        changed = (self.difference() > MASK_LEVEL).astype(np.uint8) * np.uint8(255)
        radius = max(1, round(changed.shape[0] / 100))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        # Without a margin, closing would fill gaps against the image border.
        padded = np.pad(changed, 2 * radius)
        closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, kernel)
        return closed[2 * radius : -2 * radius, 2 * radius : -2 * radius].astype(np.uint8)

    def difference(self) -> Array:
        """Return the largest change of a channel, [H, W] in grey levels."""
        change: Array = np.abs(self.defective - self.flawless).max(axis=2)
        return change

    def shows_defect(self) -> bool:
        """Tell whether the defect is in the picture, large enough and strong enough to see."""
        inside = self.mask() > 0
        if inside.mean() < _LEAST_AREA:
            return False
        return float(self.difference()[inside].mean()) > LEAST_CONTRAST


def expose_scene(key: ImageKey, size: int) -> Exposure:
    """Return the noise-free images [size, size, 3] of a scene; a defect is redrawn until it shows.

    Raises:
        DataError: no draw of the defect shows.
    """
    category = CATEGORIES[key.category]
    scene = category.draw(key.generator("scene"), SUPERSAMPLING * size)
    camera = category.camera(scene)
    flawless = expose(category.radiance(scene), camera)
    if not key.defect:
        return Exposure(flawless, flawless, camera)
    rng = key.generator("defect")
    for _ in range(_ATTEMPTS):
        changed = category.defects[key.defect](scene, rng)
        exposure = Exposure(flawless, expose(category.radiance(changed), camera), camera)
        if exposure.shows_defect():
            return exposure
    raise DataError(
        f"{key.category} {key.defect} {key.index}: none of {_ATTEMPTS} draws shows at image_size "
        f"{size}; raise image_size or choose another seed"
    )


def render(key: ImageKey, size: int) -> tuple[Image, Image | None]:
    """Return the image [size, size, 3] RGB and, of a defect, its mask [size, size] of 0 and 255."""
    exposure = expose_scene(key, size)
    image = read_out(exposure.defective, exposure.camera, key.generator("sensor"))
    return image, exposure.mask() if key.defect else None


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
