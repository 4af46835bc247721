"""Coordinates, random fields and curves on a square grid; lengths are in image sides."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Curve = NDArray[np.float64]


def as_array(values: NDArray[Any]) -> Array:
    """Return single precision, which halves the time of a rendering; no copy if it is already."""
    return np.asarray(values, dtype=np.float32)


def grid(size: int) -> tuple[Array, Array]:
    """Return x and y of the pixel centres, origin in the middle; each [size, size]."""
    axis = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    x, y = np.meshgrid(axis - np.float32(0.5), axis - np.float32(0.5))
    return x, y


def rotate(x: Array, y: Array, angle: float) -> tuple[Array, Array]:
    """Return coordinates in a frame turned by `angle` radians."""
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    return cos * x + sin * y, cos * y - sin * x


def ramp(value: Array, low: float, high: float) -> Array:
    """Return the smooth step from 0 at `low` to 1 at `high`."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Return one draw whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def sign(rng: np.random.Generator) -> int:
    """Return -1 or 1."""
    return 1 - 2 * int(rng.integers(2))


def smooth_noise(rng: np.random.Generator, size: int, rows: int, columns: int) -> Array:
    """Return normal noise on `rows` x `columns` knots, interpolated to [size, size]."""
    knots = rng.standard_normal((rows, columns), dtype=np.float32)
    return as_array(cv2.resize(knots, (size, size), interpolation=cv2.INTER_CUBIC))


def grain(rng: np.random.Generator, size: int, length: float, width: float) -> Array:
    """Return unit-variance noise of streaks `length` along x and `width` along y; [size, size]."""
    half = size // 2
    noise = rng.standard_normal((half, half), dtype=np.float32)
    kernel = (max(1, round(length * half)), max(1, round(width * half)))
    streaks = cv2.blur(noise, kernel) * np.float32(np.sqrt(kernel[0] * kernel[1]))
    return as_array(cv2.resize(streaks, (size, size), interpolation=cv2.INTER_NEAREST))


def look_up(table: Array, position: Array) -> Array:
    """Return `table` linearly interpolated at fractional indices `position` [H, W]."""
    rows = np.zeros_like(position)
    return as_array(cv2.remap(table[None, :], position, rows, cv2.INTER_LINEAR))


def blob(x: Array, y: Array, radius: float, rng: np.random.Generator, wobble: float = 0.2) -> Array:
    """Return the depth inside an irregular outline: 1 at its centre, 0 on it, negative outside."""
    theta = np.arctan2(y, x)
    outline = np.ones_like(theta)
    for order in range(2, 7):
        amplitude, phase = wobble / order * rng.standard_normal(), rng.uniform(0, 2 * np.pi)
        outline += np.float32(2 * amplitude) * np.cos(order * theta + np.float32(phase))
    return as_array(1 - np.hypot(x, y) / (radius * np.maximum(outline, 0.3)))


def wander(
    rng: np.random.Generator, start: tuple[float, float], length: float, bend: float
) -> Curve:
    """Return a curve of random heading whose direction drifts by about `bend` radians; [25, 2]."""
    steps = 24
    turn = np.cumsum(rng.standard_normal(steps)) * bend / np.sqrt(steps)
    heading = rng.uniform(0, 2 * np.pi) + turn
    moves = np.stack([np.cos(heading), np.sin(heading)], axis=1) * length / steps
    return np.concatenate([np.zeros((1, 2)), np.cumsum(moves, axis=0)]) + np.asarray(start)


def distance_to_curve(curve: Curve, size: int) -> Array:
    """Return the distance of every pixel to a curve [N, 2] in centred coordinates."""
    canvas = np.full((size, size), 255, dtype=np.uint8)
    shift = 4
    points = np.round(((curve + 0.5) * size - 0.5) * 2**shift).astype(np.int32)
    cv2.polylines(canvas, [points], isClosed=False, color=0, thickness=1, shift=shift)
    return as_array(cv2.distanceTransform(canvas, cv2.DIST_L2, cv2.DIST_MASK_5) / size)


def along_curve(curve: Curve, x: Array, y: Array) -> Array:
    """Return the position of every pixel along a curve's chord: 0 at its start, 1 at its end."""
    chord = curve[-1] - curve[0]
    squared = float(chord @ chord)
    along: Array = ((x - float(curve[0, 0])) * float(chord[0] / squared)) + (
        (y - float(curve[0, 1])) * float(chord[1] / squared)
    )
    return along
