"""CutPaste and its scar (C.-L. Li et al., CVPR 2021): a part of an image pasted elsewhere."""

import math
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from clflow.synthesis.labels import Ascending, LabelSettings, Positive, Scales, Share, Shares
from clflow.synthesis.synthetic import (
    PlainGenerator,
    Synthetic,
    Window,
    box_of,
    check_pair,
    finish,
)

Pixels = Annotated[tuple[Positive, Positive], Ascending]

_PUBLISHED_SIDE = 256
_CIRCLE = 360  # OpenCV's hue of a float image; whole-number images would lose colours


class CutPasteSettings(LabelSettings):
    """area is a share of the image, aspect is height over width, jitter the strength of colours."""

    area: Shares = (0.02, 0.15)
    aspect: Scales = (0.3, 3.3)
    jitter: Share = 0.1


class ScarSettings(LabelSettings):
    """width and height in pixels of a 256 px image, scaled with others; rotation in degrees."""

    width: Pixels = (2, 16)
    height: Pixels = (10, 25)
    rotation: float = Field(default=45, ge=0, le=180)
    jitter: Share = 0.1


def jitter_colours(
    patch: NDArray[np.uint8], strength: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return a patch [h, w, 3] with random brightness, contrast, saturation and hue.

    The first three are scaled by a factor uniform in 1 +- strength, the hue is turned by a share of
    the circle uniform in +- strength. A grey patch stays grey.
    """
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3)
    turn = rng.uniform(-strength, strength)
    bright = np.clip(patch * brightness, 0, 255)
    stretched = np.clip((bright - bright.mean()) * contrast + bright.mean(), 0, 255)
    grey = stretched.mean(axis=2, keepdims=True)
    coloured = np.clip(grey + (stretched - grey) * saturation, 0, 255)
    hsv = cv2.cvtColor((coloured / 255).astype(np.float32), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + turn * _CIRCLE) % _CIRCLE
    return np.rint(255 * cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)).astype(np.uint8)


def draw_window(shape: tuple[int, ...], size: tuple[int, int], rng: np.random.Generator) -> Window:
    """Return where a patch of size (h, w) lies in an image of shape (H, W), uniformly."""
    starts = [
        int(rng.integers(0, side - length + 1)) for side, length in zip(shape, size, strict=True)
    ]
    rows, columns = (slice(s, s + length) for s, length in zip(starts, size, strict=True))
    return rows, columns


class CutPaste(PlainGenerator[CutPasteSettings]):
    """The CutPaste generator of the registry."""

    model = CutPasteSettings
    section = "cutpaste"
    kind = "same"

    def generate(
        self,
        destination: NDArray[np.uint8],
        source: NDArray[np.uint8],
        settings: CutPasteSettings,
        rng: np.random.Generator,
    ) -> Synthetic | None:
        """Paste a rectangle of `source` [H, W, 3], its colours jittered, into `destination`.

        Returns None where nothing changes visibly.

        Raises:
            DataError: the images are not uint8 [H, W, 3] of one size.
        """
        check_pair(destination, source)
        shape = destination.shape[:2]
        size = _size(shape, settings, rng)
        taken, put = (draw_window(shape, size, rng) for _ in range(2))
        image, region = destination.copy(), np.zeros(shape, bool)
        image[put] = jitter_colours(source[taken], settings.jitter, rng)
        region[put] = True
        boxes = {"source": box_of(taken), "destination": box_of(put)}
        return finish(destination, image, region, settings, patches=(boxes,))


def _size(
    shape: tuple[int, ...], settings: CutPasteSettings, rng: np.random.Generator
) -> tuple[int, int]:
    area = rng.uniform(*settings.area) * shape[0] * shape[1]
    low, high = (math.log(bound) for bound in settings.aspect)
    aspect = math.exp(rng.uniform(low, high))
    height, width = math.sqrt(area * aspect), math.sqrt(area / aspect)
    return (
        int(np.clip(round(height), 1, shape[0])),
        int(np.clip(round(width), 1, shape[1])),
    )


class CutPasteScar(PlainGenerator[ScarSettings]):
    """The CutPaste scar generator of the registry."""

    model = ScarSettings
    section = "cutpaste_scar"
    kind = "same"

    def generate(
        self,
        destination: NDArray[np.uint8],
        source: NDArray[np.uint8],
        settings: ScarSettings,
        rng: np.random.Generator,
    ) -> Synthetic | None:
        """Paste a strip of `source` [H, W, 3], jittered and turned, into `destination`.

        Returns None where nothing changes visibly.

        Raises:
            DataError: the images are not uint8 [H, W, 3] of one size.
        """
        check_pair(destination, source)
        shape = destination.shape[:2]
        height, width = (_length(b, min(shape), rng) for b in (settings.height, settings.width))
        taken = draw_window(shape, (height, width), rng)
        angle = float(rng.uniform(-settings.rotation, settings.rotation))
        strip, inside = _turned(jitter_colours(source[taken], settings.jitter, rng), angle, shape)
        put = draw_window(shape, (inside.shape[0], inside.shape[1]), rng)
        image, region = destination.copy(), np.zeros(shape, bool)
        image[put] = np.where(inside[..., None], strip, image[put])
        region[put] = inside
        boxes = {"source": box_of(taken), "destination": box_of(put)}
        return finish(destination, image, region, settings, patches=(boxes,))


def _length(bounds: Pixels, side: int, rng: np.random.Generator) -> int:
    pixels = rng.uniform(*bounds) * side / _PUBLISHED_SIDE
    return int(np.clip(round(pixels), 2, side))


def _turned(
    patch: NDArray[np.uint8], angle: float, limit: tuple[int, ...]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a patch turned by `angle` degrees in a box that just holds it, and where it is."""
    height, width = patch.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    cosine, sine = abs(turn[0, 0]), abs(turn[0, 1])
    size = (
        min(limit[1], int(np.ceil(width * cosine + height * sine))),
        min(limit[0], int(np.ceil(width * sine + height * cosine))),
    )
    turn[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    pixels = cv2.warpAffine(patch, turn, size, borderMode=cv2.BORDER_REPLICATE)
    whole = np.ones((height, width), np.uint8)
    inside = cv2.warpAffine(whole, turn, size, flags=cv2.INTER_NEAREST)
    return np.asarray(pixels, np.uint8), np.asarray(inside > 0)
