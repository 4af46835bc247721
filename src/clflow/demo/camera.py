"""The camera: vignetting, defocus, sampling and sensor noise."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from clflow.demo.fields import Array, grid

SUPERSAMPLING = 2


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
