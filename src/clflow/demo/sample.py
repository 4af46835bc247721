"""One image of the demo: its random draws, its rendering and its mask."""

import zlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clflow.demo.bolt_defects import BOLT
from clflow.demo.camera import SUPERSAMPLING, Camera, expose, read_out
from clflow.demo.category import Category
from clflow.demo.fields import Array
from clflow.demo.washer_defects import WASHER
from clflow.demo.weave_defects import WEAVE
from clflow.errors import DataError

Image = NDArray[np.uint8]

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
