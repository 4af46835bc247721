"""The washer of the demo and its defects, made in shape and relief before it is lit."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from clflow.data.demo.scene import (
    Array,
    Camera,
    Category,
    Light,
    Surface,
    along_curve,
    as_array,
    color,
    distance_to_curve,
    draw_camera,
    draw_light,
    grain,
    grid,
    log_uniform,
    look_up,
    ramp,
    rotate,
    shade,
    sign,
    smooth_noise,
    soft_shadow,
    wander,
)

HOLES = 6
MARK = "A7-30"
_WRONG_MARKS = ("A7-80", "A1-30", "47-30", "A7-3", "A7 30", "B7-30", "")
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


def _place(rng: np.random.Generator, washer: Washer, clearance: float) -> tuple[float, float]:
    """Return a point on flat metal at least `clearance` from every edge, in the plate's frame."""
    holes = washer.plate.holes
    while True:
        x, y = rng.uniform(-0.4, 0.4, 2)
        radius = np.hypot(x, y)
        in_ring = washer.plate.bore + clearance < radius < washer.plate.outer - clearance
        gaps = np.hypot(x - holes[:, 0], y - holes[:, 1]) - holes[:, 2]
        if in_ring and bool(np.all(gaps > clearance)):
            return float(x), float(y)


def scratch(washer: Washer, rng: np.random.Generator) -> Washer:
    """Return the plate with a scratch: a groove with raised lips, bare and shiny inside."""
    curve = wander(rng, _place(rng, washer, 0.01), log_uniform(rng, 0.1, 0.4), bend=0.7)
    width, depth = log_uniform(rng, 0.003, 0.008), log_uniform(rng, 0.3, 1.0)
    distance = distance_to_curve(curve, washer.size)
    along = along_curve(curve, *grid(washer.size))
    pressure = np.float32(depth) * ramp(along, -0.02, 0.3) * (1 - ramp(along, 0.8, 1.02))
    groove = pressure * np.exp(-np.square(distance / width))
    lips = pressure * np.exp(-np.square((distance - 2 * width) / width))
    return replace(
        washer,
        relief=washer.relief + width * (0.3 * lips - groove),
        polish=washer.polish + np.float32(2) * groove,
    )


def dent(washer: Washer, rng: np.random.Generator) -> Washer:
    """Return the plate with a smooth dent or bump."""
    radius = log_uniform(rng, 0.02, 0.06)
    center_x, center_y = _place(rng, washer, 0.6 * radius)
    x, y = washer.frame()
    stretch = float(rng.uniform(0.7, 1.4))
    bell = np.exp(
        -np.square((x - center_x) / radius) - np.square((y - center_y) / radius * stretch)
    )
    steepness = sign(rng) * log_uniform(rng, 0.15, 0.5)
    return replace(washer, relief=washer.relief + np.float32(radius * steepness) * bell)


def _edge(plate: Plate, which: int) -> tuple[float, float, float]:
    """Return centre and radius of an edge: -1 outer, -2 bore, otherwise the number of a hole."""
    if which < 0:
        return 0.0, 0.0, plate.outer if which == -1 else plate.bore
    x, y, radius = plate.holes[which]
    return float(x), float(y), float(radius)


def burr(washer: Washer, rng: np.random.Generator) -> Washer:
    """Return the plate with torn metal standing out over one of its edges, or broken out."""
    center_x, center_y, radius = _edge(washer.plate, int(rng.integers(-2, HOLES)))
    x, y = washer.frame()
    theta = np.arctan2(y - center_y, x - center_x)
    gap = np.hypot(x - center_x, y - center_y) - radius
    reach, length = log_uniform(rng, 0.014, 0.034), log_uniform(rng, 0.04, 0.1)
    turn = np.angle(np.exp(1j * (theta - rng.uniform(-np.pi, np.pi)))).astype(np.float32)
    arc = turn * np.float32(radius / length)
    ragged = 1 + 0.35 * np.sin(9 * arc + rng.uniform(0, 6)) + 0.25 * np.sin(17 * arc)
    tear = np.exp(-2 * np.square(arc)) * ragged * np.exp(-np.square(gap / (2 * reach)))
    rim = np.float32(sign(rng) * reach) * tear
    return replace(washer, plate=replace(washer.plate, rim=washer.plate.rim + rim))


def misdrilled(washer: Washer, rng: np.random.Generator) -> Washer:
    """Return the plate with one hole missing, displaced or drilled too wide or too narrow."""
    holes, which = washer.plate.holes.copy(), int(rng.integers(HOLES))
    kind = rng.choice(["missing", "displaced", "size"], p=[0.25, 0.4, 0.35])
    if kind == "missing":
        holes = np.delete(holes, which, axis=0)
    elif kind == "displaced":
        heading = rng.uniform(0, 2 * np.pi)
        holes[which, :2] += rng.uniform(0.009, 0.022) * np.array([np.cos(heading), np.sin(heading)])
    else:
        holes[which, 2] *= 1 + sign(rng) * rng.uniform(0.15, 0.35)
    return replace(washer, plate=replace(washer.plate, holes=holes))


def mark(washer: Washer, rng: np.random.Generator) -> Washer:
    """Return the plate with its mark wrong, absent, mirrored or engraved too lightly."""
    kind = rng.choice(["wrong", "faint", "mirrored"], p=[0.6, 0.25, 0.15])
    plate = washer.plate
    if kind == "wrong":
        plate = replace(plate, mark=str(rng.choice(_WRONG_MARKS)))
    elif kind == "faint":
        plate = replace(plate, mark_depth=plate.mark_depth * float(rng.uniform(0.1, 0.45)))
    else:
        plate = replace(plate, mark=MARK, mark_mirrored=True)
    return replace(washer, plate=plate)


WASHER = Category(
    draw=draw_washer,
    radiance=washer_radiance,
    camera=lambda washer: washer.camera,
    defects={
        "burr": burr,
        "dent": dent,
        "mark": mark,
        "misdrilled": misdrilled,
        "scratch": scratch,
    },
)
