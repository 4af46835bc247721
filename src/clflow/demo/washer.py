"""The aligned category: a turned cover plate with a hub, six bolt holes and an engraved mark."""

from dataclasses import dataclass

import cv2
import numpy as np

from clflow.demo.camera import Camera, draw_camera
from clflow.demo.fields import Array, as_array, grain, grid, look_up, ramp, rotate, smooth_noise
from clflow.demo.lighting import Light, Surface, color, draw_light, shade, soft_shadow

HOLES = 6
MARK = "A7-30"
_LATHE_TABLE = 600
_CHAMFER = 0.011


@dataclass(frozen=True)
class Plate:
    """The shape of a plate in its own frame, in image sides.

    `holes` [N, 3] are x, y, radius; `rim` [H, W] or a number moves the edges outwards (burrs);
    `mark` is the engraved text with its `mark_depth`, mirrored where `mark_mirrored`.
    """

    outer: float
    bore: float
    hub: float
    holes: Array
    mark: str
    mark_depth: float
    mark_mirrored: bool
    rim: Array


@dataclass(frozen=True)
class Washer:
    """A plate in its pose, its finish and the lamp.

    `lathe` [600] is the height of the turning marks by radius, `relief` [H, W] any other change of
    height, `tint` [H, W] a factor on the albedo, `polish` [H, W] one on the gloss.
    """

    plate: Plate
    center: tuple[float, float]
    angle: float
    lathe: Array
    relief: Array
    tint: Array
    polish: Array
    ground: Array
    light: Light
    camera: Camera

    @property
    def size(self) -> int:
        """Side of the rendering grid in pixels."""
        return self.relief.shape[0]

    def frame(self) -> tuple[Array, Array]:
        """Return the coordinates of the pixels in the frame of the plate, each [H, W]."""
        x, y = grid(self.size)
        return rotate(x - self.center[0], y - self.center[1], self.angle)


def _draw_holes(rng: np.random.Generator) -> Array:
    theta = 2 * np.pi * np.arange(HOLES) / HOLES
    radius = np.full(HOLES, 0.038)
    exact = np.stack([0.298 * np.cos(theta), 0.298 * np.sin(theta), radius], axis=1)
    return (exact + rng.normal(0, (0.001, 0.001, 0.0006), (HOLES, 3))).astype(np.float32)


def _draw_plate(rng: np.random.Generator) -> Plate:
    scale = 1 + 0.004 * rng.standard_normal(3)
    return Plate(
        outer=float(0.415 * scale[0]),
        bore=float(0.115 * scale[1]),
        hub=float(0.205 * scale[2]),
        holes=_draw_holes(rng),
        mark=MARK,
        mark_depth=float(rng.uniform(0.8, 1.1)),
        mark_mirrored=False,
        rim=np.zeros((1, 1), np.float32),
    )


def _draw_lathe(rng: np.random.Generator) -> Array:
    """Return the turning marks: feed lines, chatter that comes and goes, and a few deep rings."""
    fine = rng.standard_normal(_LATHE_TABLE)
    chatter = np.convolve(rng.standard_normal(_LATHE_TABLE), np.ones(7) / 7, mode="same")
    swell = np.convolve(rng.standard_normal(_LATHE_TABLE), np.ones(60) / 60, mode="same")
    rings = rng.random(_LATHE_TABLE) < 0.01
    profile = 0.3 * fine + 0.8 * chatter + 2.5 * swell - 1.8 * rings
    return (rng.uniform(0.7, 1.3) * 1.6e-4 * profile).astype(np.float32)


def draw_washer(rng: np.random.Generator, size: int) -> Washer:
    """Return a flawless plate."""
    shift = rng.normal(0, 0.015, 2)
    handling = 0.04 * smooth_noise(rng, size, 7, 7)
    return Washer(
        plate=_draw_plate(rng),
        center=(float(shift[0]), float(shift[1])),
        angle=float(np.deg2rad(rng.uniform(-8, 8))),
        lathe=_draw_lathe(rng),
        relief=1.2e-5 * grain(rng, size, 0.004, 0.004),
        tint=np.float32(1 + 0.03 * rng.standard_normal()) + handling,
        polish=1 + 3 * handling,
        ground=1 + 0.05 * smooth_noise(rng, size, 5, 5) + 0.03 * grain(rng, size, 0.004, 0.004),
        light=draw_light(rng, azimuth=-2.0, spread=0.45, elevation=0.95, falloff=0.15),
        camera=draw_camera(rng),
    )


def depth_inside(plate: Plate, x: Array, y: Array) -> Array:
    """Return the distance to the nearest edge, positive in metal; x, y and result [H, W]."""
    radius = np.hypot(x, y)
    depth = np.minimum(plate.outer - radius, radius - plate.bore)
    for hole_x, hole_y, hole_radius in plate.holes:
        gap = np.sqrt(np.square(x - hole_x) + np.square(y - hole_y)) - hole_radius
        depth = np.minimum(depth, gap)
    return depth + plate.rim


def _engraving(washer: Washer) -> Array:
    """Return the depth of the mark, 0 to 1, placed with the plate; [H, W]."""
    size, text = washer.size, washer.plate.mark
    canvas = np.zeros((size, size), np.uint8)
    font, scale, thickness = cv2.FONT_HERSHEY_SIMPLEX, size / 512 * 0.95, max(1, round(size / 170))
    # Every text starts where the right one does.
    (width, height), _ = cv2.getTextSize(MARK, font, scale, thickness)
    origin = (size // 2 - width // 2, round(0.79 * size) + height // 2)
    cv2.putText(canvas, text, origin, font, scale, 255, thickness, cv2.LINE_AA)
    if washer.plate.mark_mirrored:
        canvas = canvas[:, ::-1]
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), -np.rad2deg(washer.angle), 1)
    turn[:, 2] += np.asarray(washer.center) * size
    placed = cv2.warpAffine(canvas.astype(np.float32) / 255, turn, (size, size))
    return as_array(cv2.GaussianBlur(placed, (0, 0), 0.0016 * size))


def _height(washer: Washer, x: Array, y: Array, depth: Array, groove: Array) -> Array:
    plate, radius = washer.plate, np.hypot(x, y)
    edge = 0.7 * np.clip(depth, 0, _CHAMFER)
    hub = 0.012 * (1 - ramp(radius, plate.hub - 0.006, plate.hub + 0.012))
    turned = look_up(washer.lathe, radius * np.float32(_LATHE_TABLE / 0.6))
    return edge + hub + turned + washer.relief - np.float32(0.005 * plate.mark_depth) * groove


def _turning_glint(washer: Washer, x: Array, y: Array) -> Array:
    """Return the highlight of fine concentric grooves (Kajiya and Kay 1989), [H, W]."""
    light_x, light_y, _ = washer.light.halfway
    cos, sin = np.cos(washer.angle), np.sin(washer.angle)
    across = (cos * light_x + sin * light_y, cos * light_y - sin * light_x)
    along_groove = (float(across[1]) * x - float(across[0]) * y) / np.maximum(np.hypot(x, y), 1e-3)
    return np.power(1 - np.square(along_groove), 16)


def _ground(washer: Washer, cover: Array) -> Array:
    """Return the mat under the plate with its shadow, [3, H, W]."""
    light = washer.light
    shadow = soft_shadow(cover, light, reach=0.018, softness=0.012)
    lit = light.ambient * 0.8 + (1 - light.ambient) * (1 - shadow)
    return washer.ground * lit * color((0.115, 0.125, 0.14))


def washer_radiance(washer: Washer) -> Array:
    """Return the rendered plate on its mat, [3, H, W]."""
    x, y = washer.frame()
    depth = depth_inside(washer.plate, x, y)
    groove = _engraving(washer)
    dirt = washer.tint * (1 - np.float32(0.35 * washer.plate.mark_depth) * groove)
    glint = washer.polish * (0.12 + 0.26 * _turning_glint(washer, x, y))
    surface = Surface(
        height=_height(washer, x, y, depth, groove),
        albedo=dirt * color((0.5, 0.505, 0.51)),
        gloss=np.maximum(glint, 0) * (1 - 0.5 * groove),
        shininess=18,
    )
    cover = np.clip(depth * washer.size + 0.5, 0, 1)
    metal = shade(surface, washer.light)
    return metal * cover + _ground(washer, cover) * (1 - cover)
