"""What the network sees of an image: random crops, turns and flips; central crops in tests."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from clflow.detectors.nsa.settings import NSADetectorSettings
from clflow.synthesis.background import Kind


@dataclass(frozen=True)
class View:
    """A turn in degrees, then a square of `side` at `corner` (y, x), then a flip."""

    angle: float
    corner: tuple[int, int]
    side: int
    flipped: bool

    def of(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return what is seen of an image [H, W, 3] or a label [H, W]."""
        turned = _turned(pixels, self.angle) if self.angle else pixels
        y, x = self.corner
        seen = turned[y : y + self.side, x : x + self.side]
        return np.ascontiguousarray(seen[::-1] if self.flipped else seen)


@dataclass(frozen=True)
class Views:
    """How images of a category are seen in training.

    Images are square, of side `loaded`; a crop of `side` lies in their central `window`.
    """

    loaded: int
    window: int
    side: int
    rotation: float
    flips: bool

    def draw(self, rng: np.random.Generator) -> View:
        """Draw a view."""
        angle = float(rng.uniform(-self.rotation, self.rotation)) if self.rotation else 0.0
        margin = (self.loaded - self.window) // 2
        y, x = (margin + int(rng.integers(self.window - self.side + 1)) for _ in range(2))
        return View(angle, (y, x), self.side, self.flips and bool(rng.random() < 0.5))


def training_views(kind: Kind, rotation: float, settings: NSADetectorSettings) -> Views:
    """Return the views of NSA: crops of the centre for objects, flips and crops for textures.

    Anomalies of a bank have the size of the maps: textures of a bank are seen whole.
    """
    crop, size = settings.crop, settings.image_size
    if kind == "object":
        return Views(size, crop.object_window, crop.object, rotation, flips=False)
    loaded = crop.texture_size if settings.anomalies.source == "fly" else size
    return Views(loaded, loaded, size, rotation, flips=True)


def scored_side(kind: Kind, settings: NSADetectorSettings) -> int:
    """Return the side of the central square that is scored."""
    return settings.crop.object if kind == "object" else settings.image_size


def central(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return the central squares [N, side, side, 3] of images [N, H, W, 3]."""
    start = (pixels.shape[1] - side) // 2
    return pixels[:, start : start + side, start : start + side]


def framed(maps: Tensor, size: int) -> Tensor:
    """Return maps [N, H, W] in the middle of zeros, [N, size, size]."""
    start = (size - maps.shape[-1]) // 2
    end = size - maps.shape[-1] - start
    return pad(maps, (start, end, start, end))


def _turned(pixels: NDArray[Any], angle: float) -> NDArray[Any]:
    """Return an image turned about its centre: nearest pixels, as the authors' transform."""
    height, width = pixels.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1)
    return cv2.warpAffine(
        pixels, turn, (width, height), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
    )
