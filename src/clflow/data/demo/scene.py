"""What the scenes of the demo are made of: noise and shapes, surfaces under a lamp, a camera."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Curve = NDArray[np.float64]
Scene = TypeVar("Scene")

SUPERSAMPLING = 2


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


@dataclass(frozen=True)
class Camera:
    """Gain, corner darkening, blur in pixels of a 256-pixel image, noise in grey levels."""

    gain: float
    vignetting: float
    blur: float
    noise: float


def draw_camera(rng: np.random.Generator) -> Camera:
    """Return the camera of one exposure."""
    return Camera(
        gain=float(1 + 0.02 * rng.standard_normal()),
        vignetting=float(rng.uniform(0.08, 0.22)),
        blur=float(rng.uniform(0.5, 0.75)),
        noise=float(rng.uniform(1.2, 2.4)),
    )


def expose(radiance: Array, camera: Camera) -> Array:
    """Return the noise-free grey levels [H, W, 3] of a radiance [3, 2 H, 2 W]."""
    size = radiance.shape[1] // SUPERSAMPLING
    planes = [cv2.resize(plane, (size, size), interpolation=cv2.INTER_AREA) for plane in radiance]
    image = cv2.merge(planes)
    image = cv2.GaussianBlur(image, (0, 0), camera.blur * size / 256)
    x, y = grid(size)
    lens = camera.gain * (1 - camera.vignetting * 2 * (x**2 + y**2))
    # A soft shoulder keeps highlights from clipping hard.
    levels: Array = np.float32(255) * np.tanh(np.maximum(image, 0) * lens[..., None])
    return levels


def read_out(levels: Array, camera: Camera, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the image [H, W, 3] with shot and read noise, shared in part by the channels."""
    shape = levels.shape
    noise = 0.8 * rng.standard_normal((*shape[:2], 1), dtype=np.float32)
    noise = noise + 0.6 * rng.standard_normal(shape, dtype=np.float32)
    strength = camera.noise * np.sqrt(0.4 + levels / 160)
    return np.clip(np.rint(levels + strength * noise), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Surface:
    """What the lamp meets: height [H, W] in image sides, albedo [3, H, W], gloss [H, W]."""

    height: Array
    albedo: Array
    gloss: Array
    shininess: float


@dataclass(frozen=True)
class Light:
    """A lamp: direction in radians, share of ambient light, relative fall-off over the field."""

    azimuth: float
    elevation: float
    ambient: float
    falloff: tuple[float, float]
    color: tuple[float, float, float]

    @property
    def direction(self) -> tuple[float, float, float]:
        """Unit vector towards the lamp, x right, y down, z towards the camera."""
        flat = np.cos(self.elevation)
        return (
            float(flat * np.cos(self.azimuth)),
            float(flat * np.sin(self.azimuth)),
            float(np.sin(self.elevation)),
        )

    @property
    def halfway(self) -> tuple[float, float, float]:
        """Unit vector between the lamp and the camera."""
        vector = np.add(self.direction, (0, 0, 1))
        x, y, z = vector / np.linalg.norm(vector)
        return float(x), float(y), float(z)


def draw_light(
    rng: np.random.Generator, azimuth: float, spread: float, elevation: float, falloff: float
) -> Light:
    """Return a lamp near `azimuth` (at most `spread` off), all angles in radians."""
    warmth = 0.012 * rng.standard_normal()
    x, y = falloff * rng.standard_normal(2)
    return Light(
        azimuth=azimuth + spread * float(rng.uniform(-1, 1)),
        elevation=elevation + float(rng.uniform(-0.1, 0.1)),
        ambient=float(rng.uniform(0.3, 0.42)),
        falloff=(float(x), float(y)),
        color=(float(1 + warmth), 1.0, float(1 - warmth)),
    )


def color(rgb: tuple[float, float, float]) -> Array:
    """Return a colour that multiplies planes [3, H, W]; [3, 1, 1]."""
    return np.asarray(rgb, dtype=np.float32)[:, None, None]


def slopes(height: Array) -> tuple[Array, Array]:
    """Return the central differences of a height map in x and y, each [H, W]."""
    scale = height.shape[0] / 2
    return (
        as_array(cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=1, scale=scale)),
        as_array(cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=1, scale=scale)),
    )


def shade(surface: Surface, light: Light) -> Array:
    """Return the radiance [3, H, W] by Lambert's law and a Blinn-Phong highlight."""
    slope_x, slope_y = slopes(surface.height)
    norm = 1 / np.sqrt(1 + slope_x**2 + slope_y**2)

    def cosine(direction: tuple[float, float, float]) -> Array:
        x, y, z = direction
        return np.maximum((z - x * slope_x - y * slope_y) * norm, 0)

    flat = light.direction[2]
    diffuse = light.ambient * norm + (1 - light.ambient) / flat * cosine(light.direction)
    highlight = surface.gloss * np.power(cosine(light.halfway), surface.shininess)
    radiance = surface.albedo * diffuse + highlight
    return radiance * (field_of(light, slope_x.shape[0]) * color(light.color))


def field_of(light: Light, size: int) -> Array:
    """Return the relative illumination of a flat field, [size, size]."""
    x, y = grid(size)
    return np.maximum(1 + light.falloff[0] * x + light.falloff[1] * y, 0.3)


def soft_shadow(cover: Array, light: Light, reach: float, softness: float) -> Array:
    """Return the share of lamp light that an object [H, W], `reach` high, takes from the ground."""
    size = cover.shape[0]
    x, y, z = light.direction
    shift = np.array([[1, 0, -x / z * reach * size], [0, 1, -y / z * reach * size]])
    small = cv2.resize(cv2.warpAffine(cover, shift, (size, size)), None, fx=0.25, fy=0.25)
    blurred = cv2.GaussianBlur(small, (0, 0), max(softness * size / 4, 0.3))
    return as_array(cv2.resize(blurred, (size, size), interpolation=cv2.INTER_LINEAR))


@dataclass(frozen=True)
class Category(Generic[Scene]):
    """A scene model; rendering is a function of the scene alone, so defects change nothing else.

    `draw` makes a flawless scene for a grid of the given size, `radiance` renders it [3, H, W],
    `camera` names its camera and `defects` return a changed scene.
    """

    draw: Callable[[np.random.Generator, int], Scene]
    radiance: Callable[[Scene], Array]
    camera: Callable[[Scene], Camera]
    defects: Mapping[str, Callable[[Scene, np.random.Generator], Scene]]
