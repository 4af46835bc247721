"""Size, source and destination of one NSA patch (arXiv 2109.15222, patch sampling)."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from clflow.synthesis.nsa import NSASettings


PatchShape = Literal["rectangle", "ellipses"]

_TRIES = 200
_SCALE_SPREAD = 0.5
_ELLIPSES = 5
_SMALLEST_AXIS = 0.1


@dataclass(frozen=True, eq=False)
class Scene:
    """Two images uint8 [H, W, 3] and their object masks bool [H, W]; None where there are none."""

    destination: NDArray[np.uint8]
    source: NDArray[np.uint8]
    destination_object: NDArray[np.bool_] | None
    source_object: NDArray[np.bool_] | None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.destination.shape[0], self.destination.shape[1]

    @cached_property
    def source_counts(self) -> NDArray[Any] | None:
        """The integral image [H + 1, W + 1] of the source's object mask."""
        found = self.source_object
        return None if found is None else cv2.integral(found.astype(np.uint8))


@dataclass(frozen=True, eq=False)
class Patch:
    """A patch [h, w, 3] of the source, resized, and where it goes in the destination.

    corner is (y, x) of its top left pixel; shape, bool [h, w], is its outline; region, bool [h, w],
    is where it may count as changed: on the object of the source or of the destination; taken is
    its box (x0, y0, x1, y1) in the source.
    """

    pixels: NDArray[np.uint8]
    shape: NDArray[np.bool_]
    region: NDArray[np.bool_]
    corner: tuple[int, int]
    taken: tuple[int, int, int, int]

    @property
    def window(self) -> tuple[slice, slice]:
        """The pixels of the destination that the patch covers."""
        (y, x), (height, width) = self.corner, self.region.shape
        return slice(y, y + height), slice(x, x + width)

    def numbers(self) -> dict[str, list[int]]:
        """Return both boxes (x0, y0, x1, y1) for the manifest."""
        (y, x), (height, width) = self.corner, self.region.shape
        return {"source": list(self.taken), "destination": [x, y, x + width, y + height]}


def sample_patch(scene: Scene, settings: "NSASettings", rng: np.random.Generator) -> Patch | None:
    """Draw a patch of the source and a place for it, or None after 200 tries for either."""
    limits = _limits(scene.shape, settings)
    box = _source_box(scene, limits, settings, rng)
    if box is None:
        return None
    x0, y0, x1, y1 = box
    size = _resized((y1 - y0, x1 - x0), limits, settings, rng)
    pixels = np.asarray(cv2.resize(scene.source[y0:y1, x0:x1], size[::-1]), np.uint8)
    own = _own_object(scene, box, size)
    corner = (y0, x0) if settings.in_place else _place(scene, own, settings, rng)
    if corner is None:
        return None
    shape = draw_shape(settings.shape, size, rng)
    return Patch(pixels, shape, shape & (own | _object_under(scene, corner, size)), corner, box)


def draw_shape(
    kind: PatchShape, size: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return the pixels of a patch of size (h, w) that belong to it, bool [h, w].

    ellipses is the union of five of them, centres and directions uniform, half-axes uniform
    between a tenth and a half of the sides: NSA has such a switch, its numbers are not published.
    """
    if kind == "rectangle":
        return np.ones(size, bool)
    canvas = np.zeros(size, np.uint8)
    for _ in range(_ELLIPSES):
        _draw_ellipse(canvas, rng)
    return canvas > 0


def _draw_ellipse(canvas: NDArray[np.uint8], rng: np.random.Generator) -> None:
    height, width = canvas.shape
    centre = (int(rng.integers(width)), int(rng.integers(height)))
    shares = rng.uniform(_SMALLEST_AXIS, 0.5, 2)
    axes = (max(1, round(shares[0] * width)), max(1, round(shares[1] * height)))
    cv2.ellipse(canvas, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)


def _limits(shape: tuple[int, int], settings: "NSASettings") -> list[tuple[int, int]]:
    bounds = (settings.height_bounds, settings.width_bounds)
    return [
        (max(1, round(low * side)), max(1, round(high * side)))
        for (low, high), side in zip(bounds, shape, strict=True)
    ]


def _own_object(
    scene: Scene, box: tuple[int, int, int, int], size: tuple[int, int]
) -> NDArray[np.bool_]:
    if scene.source_object is None:
        return np.ones(size, bool)
    x0, y0, x1, y1 = box
    cut = scene.source_object[y0:y1, x0:x1].astype(np.uint8)
    return np.asarray(cv2.resize(cut, size[::-1], interpolation=cv2.INTER_NEAREST) > 0)


def _object_under(
    scene: Scene, corner: tuple[int, int], size: tuple[int, int]
) -> NDArray[np.bool_]:
    if scene.destination_object is None:
        return np.ones(size, bool)
    return scene.destination_object[
        corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]
    ]


def _source_box(
    scene: Scene,
    limits: list[tuple[int, int]],
    settings: "NSASettings",
    rng: np.random.Generator,
) -> tuple[int, int, int, int] | None:
    (low_y, low_x), (height, width) = (low for low, _ in limits), scene.shape
    half_y = _half(limits[0], height, settings, rng)
    half_x = _half(limits[1], width, settings, rng)
    high_y, high_x = max(low_y + 1, height - low_y), max(low_x + 1, width - low_x)
    counts = scene.source_counts
    for _ in range(_TRIES):
        y0, y1 = _span(int(rng.integers(low_y, high_y)), half_y, height)
        x0, x1 = _span(int(rng.integers(low_x, high_x)), half_x, width)
        if counts is None or _share(counts, x0, y0, x1, y1) > settings.minimum_object:
            return x0, y0, x1, y1
    return None


def _share(counts: NDArray[Any], x0: int, y0: int, x1: int, y1: int) -> float:
    """Return the share of a box that is set, from the integral image of a mask."""
    inside = int(counts[y1, x1]) - int(counts[y0, x1]) - int(counts[y1, x0]) + int(counts[y0, x0])
    return inside / ((y1 - y0) * (x1 - x0))


def _half(
    limit: tuple[int, int], side: int, settings: "NSASettings", rng: np.random.Generator
) -> int:
    fraction = settings.gamma_offset + rng.gamma(settings.gamma_shape, settings.gamma_scale)
    return int(_clipped(fraction * side, limit))


def _span(centre: int, half: int, side: int) -> tuple[int, int]:
    return max(0, centre - half), min(side, centre + half)


def _resized(
    shape: tuple[int, int],
    limits: list[tuple[int, int]],
    settings: "NSASettings",
    rng: np.random.Generator,
) -> tuple[int, int]:
    """Scale a patch; as in NSA's code the half-width limits bound its full sides here."""
    if settings.resize_bounds is None:
        return shape
    height, width = shape
    scale = _clipped(rng.normal(1, _SCALE_SPREAD), settings.resize_bounds)
    scaled = _clipped(scale * height, limits[0])
    new_width = int(_clipped(int(scaled / height * width), limits[1]))
    new_height = int(_clipped(int(new_width / width * height), limits[0]))
    return new_height, new_width


def _clipped(value: float, bounds: tuple[float, float]) -> float:
    # for single numbers many times as fast as np.clip
    return min(max(value, bounds[0]), bounds[1])


def _corner(
    shape: tuple[int, int], patch: tuple[int, int], rng: np.random.Generator
) -> tuple[int, int]:
    y = int(rng.integers(0, shape[0] - patch[0] + 1))
    return y, int(rng.integers(0, shape[1] - patch[1] + 1))


def _place(
    scene: Scene, own: NDArray[np.bool_], settings: "NSASettings", rng: np.random.Generator
) -> tuple[int, int] | None:
    size = (own.shape[0], own.shape[1])
    if scene.destination_object is None:
        return _corner(scene.shape, size, rng)
    area = np.count_nonzero(own)
    if area / own.size <= settings.minimum_object:
        return None
    for _ in range(_TRIES):
        corner = _corner(scene.shape, size, rng)
        overlap = np.count_nonzero(own & _object_under(scene, corner, size))
        if overlap > settings.minimum_overlap * area:
            return corner
    return None
