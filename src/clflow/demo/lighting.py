"""Shading of a height map under one directional lamp and diffuse surroundings."""

from dataclasses import dataclass

import cv2
import numpy as np

from clflow.demo.fields import Array, as_array, grid


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
