"""The bolt of the demo and its defects, made in shape and finish before it is lit."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from clflow.data.demo.scene import (
    Array,
    Camera,
    Category,
    Light,
    Surface,
    as_array,
    blob,
    color,
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
)

HEAD_START, HEAD_END, FLANGE_END = -0.33, -0.235, -0.215
THREAD_START, TIP = -0.02, 0.33
HEAD_APOTHEM, FLANGE, SHANK = 0.085, 0.108, 0.05
_PITCH, _TOOTH = 0.03, 0.014
_STREAKS = 256
_BEND_LENGTH = 0.05


@dataclass(frozen=True)
class Pose:
    """Where the bolt lies: centre in image sides, orientation and roll about its axis."""

    center: tuple[float, float]
    angle: float
    roll: float
    scale: float


@dataclass(frozen=True)
class Bolt:
    """A bolt in its pose, its finish and the lamp.

    In its own frame s runs along the axis from head to tip and t across. `bend` is the start of a
    bend in s and its slope; `cut` the s and obliqueness of the tip's end; `teeth` [H, W] a factor
    on the thread depth; `chip` [H, W] metal lost at the outline; `albedo` [3, H, W] or [3, 1, 1]
    and `gloss` [H, W] factors of the finish; `pits` [H, W] a change of height.
    """

    pose: Pose
    bend: tuple[float, float]
    cut: tuple[float, float]
    teeth: Array
    chip: Array
    albedo: Array
    gloss: Array
    pits: Array
    streaks: Array
    ground: Array
    light: Light
    camera: Camera

    @property
    def size(self) -> int:
        """Side of the rendering grid in pixels."""
        return self.ground.shape[0]

    def frame(self) -> tuple[Array, Array]:
        """Return s and t of every pixel, each [H, W], straightened along a bend."""
        x, y = grid(self.size)
        pose = self.pose
        s, t = rotate(x - pose.center[0], y - pose.center[1], pose.angle)
        s, t = s / np.float32(pose.scale), t / np.float32(pose.scale)
        start, slope = self.bend
        past = np.maximum(s - np.float32(start), 0)
        curved = np.minimum(past, _BEND_LENGTH)
        return s, t - np.float32(slope) * (past - curved + curved**2 / (2 * _BEND_LENGTH))


def draw_bolt(rng: np.random.Generator, size: int) -> Bolt:
    """Return a flawless bolt."""
    center = rng.uniform(-0.025, 0.025, 2)
    plain = np.ones((1, 1), np.float32)
    return Bolt(
        pose=Pose(
            center=(float(center[0]), float(center[1])),
            angle=float(rng.uniform(0, 2 * np.pi)),
            roll=float(rng.integers(6) * np.pi / 3 + 0.12 * rng.standard_normal()),
            scale=float(1.15 + 0.006 * rng.standard_normal()),
        ),
        bend=(0.0, 0.0),
        cut=(TIP, 0.0),
        teeth=plain,
        chip=0 * plain,
        albedo=(1 + 0.015 * rng.standard_normal((3, 1, 1))).astype(np.float32),
        gloss=1 + 0.1 * smooth_noise(rng, size, 9, 9),
        pits=1e-5 * grain(rng, size, 0.004, 0.004),
        streaks=rng.standard_normal(_STREAKS, dtype=np.float32),
        ground=1 + 0.01 * smooth_noise(rng, size, 6, 6) + 0.008 * grain(rng, size, 0.004, 0.004),
        light=draw_light(rng, azimuth=-2.2, spread=0.25, elevation=0.9, falloff=0.09),
        camera=draw_camera(rng),
    )


def _hexagon(t: Array, roll: float) -> tuple[Array, float]:
    """Return the upper side of a hexagonal prism across t, [H, W], and its half-width."""
    corner = HEAD_APOTHEM / np.cos(np.pi / 6)
    corners = roll + np.pi / 6 + np.arange(6) * np.pi / 3
    height = np.full_like(t, HEAD_APOTHEM * 1.2)
    for normal in roll + np.arange(6) * np.pi / 3:
        up, side = float(np.cos(normal)), float(np.sin(normal))
        if up > 0.02:
            height = np.minimum(height, (HEAD_APOTHEM - side * t) / up)
    return height, float(corner * np.abs(np.sin(corners)).max())


def _thread_radius(bolt: Bolt, s: Array, t: Array) -> Array:
    """Return the radius of shank and thread, the helix seen from the side; [H, W]."""
    around = np.arcsin(np.clip(t / SHANK, -1, 1)) / np.float32(2 * np.pi)
    phase = s / np.float32(_PITCH) + around + np.float32(bolt.pose.roll / (2 * np.pi))
    groove = 1 - 2 * np.abs(phase - np.floor(phase) - np.float32(0.5))
    cut = ramp(s, THREAD_START, THREAD_START + 0.02) * bolt.teeth
    return SHANK - _TOOTH * cut * np.clip(1.3 * groove - 0.15, 0, 1)


def _body(bolt: Bolt, s: Array, t: Array) -> tuple[Array, Array]:
    """Return height and depth inside the outline, each [H, W] in image sides."""
    hexagon, half_width = _hexagon(t, bolt.pose.roll)
    end = bolt.cut[0] + bolt.cut[1] * t - s
    shaft = np.minimum(_thread_radius(bolt, s, t), SHANK - 0.022 + np.maximum(end, 0))
    radius = np.where(s < FLANGE_END, np.float32(FLANGE), shaft)
    head = s < HEAD_END
    dome = np.float32(FLANGE) - 0.25 * np.maximum(HEAD_START + 0.03 - s, 0)
    top = np.where(head, np.minimum(hexagon, dome), 0)
    rounded = np.sqrt(np.maximum(np.square(radius) - np.square(t), 0))
    side = np.where(head, np.float32(half_width), radius) - np.abs(t)
    depth = np.minimum(np.minimum(side, s - HEAD_START), end) - bolt.chip
    return np.where(head, top, rounded), depth


def _ground(bolt: Bolt, cover: Array) -> Array:
    """Return the table with the bolt's shadow, [3, H, W]."""
    light = bolt.light
    wide = soft_shadow(cover, light, reach=0.05, softness=0.022)
    contact = soft_shadow(cover, light, reach=0.01, softness=0.006)
    shadow = np.maximum(0.55 * wide, 0.7 * contact)
    lit = bolt.ground * (1 - (1 - light.ambient) * shadow)
    falloff = 1 + light.falloff[0] * grid(bolt.size)[0] + light.falloff[1] * grid(bolt.size)[1]
    return lit * falloff * color((0.9, 0.9, 0.885))


def _finish(bolt: Bolt, t: Array, s: Array) -> Array:
    """Return the albedo of drawn steel: streaks along the axis, and dark thread roots; [H, W]."""
    along = look_up(bolt.streaks, (t + np.float32(0.12)) * np.float32(_STREAKS / 0.24))
    root = SHANK - _thread_radius(bolt, s, t)
    occlusion = 1 - 32 * np.where(s > THREAD_START, root, 0)
    return (1 + 0.05 * along) * np.clip(occlusion, 0.3, 1)


def bolt_radiance(bolt: Bolt) -> Array:
    """Return the rendered bolt on its table, [3, H, W]."""
    s, t = bolt.frame()
    height, depth = _body(bolt, s, t)
    smooth = as_array(cv2.GaussianBlur(height + bolt.pits, (0, 0), 0.0015 * bolt.size))
    finish = _finish(bolt, t, s)
    surface = Surface(
        height=smooth,
        albedo=finish * bolt.albedo * color((0.46, 0.45, 0.43)),
        gloss=np.maximum(bolt.gloss * finish, 0) * np.float32(0.6),
        shininess=14,
    )
    cover = np.clip(depth * bolt.size + 0.5, 0, 1)
    metal = shade(surface, bolt.light)
    return metal * cover + _ground(bolt, cover) * (1 - cover)


def bent(bolt: Bolt, rng: np.random.Generator) -> Bolt:
    """Return the bolt with its shaft bent by 7 to 24 degrees."""
    slope = sign(rng) * np.tan(np.deg2rad(log_uniform(rng, 7, 24)))
    return replace(bolt, bend=(float(rng.uniform(-0.12, 0.12)), float(slope)))


def flattened_thread(bolt: Bolt, rng: np.random.Generator) -> Bolt:
    """Return the bolt with the teeth worn or filled over some length, all around or on one side."""
    s, t = bolt.frame()
    length = log_uniform(rng, 0.06, 0.2)
    along = np.abs(s - float(rng.uniform(THREAD_START + 0.06, TIP - 0.06)))
    worn = 1 - ramp(along, 0.35 * length, 0.55 * length)
    if rng.random() < 0.6:
        worn = worn * ramp(sign(rng) * t, -0.015, 0.015)
    return replace(bolt, teeth=bolt.teeth * (1 - float(rng.uniform(0.5, 1)) * worn))


def missing_tip(bolt: Bolt, rng: np.random.Generator) -> Bolt:
    """Return the bolt with its tip broken off, straight or obliquely."""
    end = TIP - log_uniform(rng, 0.03, 0.16)
    return replace(bolt, cut=(float(end), float(rng.uniform(-0.6, 0.6))))


def notch(bolt: Bolt, rng: np.random.Generator) -> Bolt:
    """Return the bolt with a wedge of metal missing from its head or flange."""
    s, t = bolt.frame()
    side, depth = sign(rng), log_uniform(rng, 0.02, 0.05)
    middle = float(rng.uniform(HEAD_START, FLANGE_END))
    reach = FLANGE if middle > HEAD_END else 0.09
    opening = float(rng.uniform(0.6, 1.4))
    wedge = depth - (reach - side * t) - np.abs(s - middle) / opening
    near_head = 1 - ramp(s, FLANGE_END, FLANGE_END + 0.01)
    return replace(bolt, chip=bolt.chip + 2 * np.maximum(wedge, 0) * near_head)


def rust(bolt: Bolt, rng: np.random.Generator) -> Bolt:
    """Return the bolt with a cluster of rust spots: brown, dull and pitted."""
    s, t = bolt.frame()
    spread = log_uniform(rng, 0.012, 0.04)
    start = rng.uniform((-0.3, -0.6 * SHANK), (0.3, 0.6 * SHANK))
    cover = np.zeros_like(s)
    for _ in range(int(rng.integers(3, 10))):
        spot_s, spot_t = start + spread * rng.standard_normal(2) * (1, 0.6)
        depth = blob(s - float(spot_s), t - float(spot_t), log_uniform(rng, 0.01, 0.028), rng)
        cover = np.maximum(cover, ramp(depth, -0.1, 0.5))
    cover = np.float32(log_uniform(rng, 0.35, 1)) * cover
    brown = 1 + cover * (color((1.7, 0.85, 0.4)) - 1)
    return replace(
        bolt,
        albedo=bolt.albedo * brown,
        gloss=bolt.gloss * (1 - 0.85 * cover),
        pits=bolt.pits - 0.0015 * cover,
    )


BOLT = Category(
    draw=draw_bolt,
    radiance=bolt_radiance,
    camera=lambda bolt: bolt.camera,
    defects={
        "bent": bent,
        "flattened_thread": flattened_thread,
        "missing_tip": missing_tip,
        "notch": notch,
        "rust": rust,
    },
)
