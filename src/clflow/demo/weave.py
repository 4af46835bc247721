"""The texture category: a plain weave of two yarns, filling the image."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from clflow.demo.camera import Camera, draw_camera
from clflow.demo.fields import Array, as_array, grain, grid, rotate, smooth_noise
from clflow.demo.lighting import Light, Surface, draw_light, shade

THREADS = 30
_TABLE = 64
_GROUND = -0.75


@dataclass(frozen=True)
class Yarn:
    """One system of parallel threads.

    Thread k lies where `position` [H, W] is between k and k + 1; `width` [H, W] is the share of
    that space it fills, `tone` [3, 64] the colour of each thread, `fibres` [H, W] its texture and
    `dye` [3, H, W] or [3, 1, 1] a factor on its colour.
    """

    position: Array
    width: Array
    tone: Array
    fibres: Array
    dye: Array

    @cached_property
    def index(self) -> NDArray[np.intp]:
        """Number of the thread at every pixel."""
        return np.floor(self.position).astype(np.intp)


@dataclass(frozen=True)
class Weave:
    """A cloth, what wets it (`stain` [3, H, W] or [1, H, W]), the table below and the lamp."""

    warp: Yarn
    weft: Yarn
    stain: Array
    table: float
    light: Light
    camera: Camera


def _tones(rng: np.random.Generator, color: tuple[float, float, float]) -> Array:
    brightness = 1 + 0.05 * rng.standard_normal((1, _TABLE))
    hue = 1 + 0.006 * rng.standard_normal((3, _TABLE))
    return (np.asarray(color)[:, None] * brightness * hue).astype(np.float32)


def _draw_yarn(
    rng: np.random.Generator, along: Array, color: tuple[float, float, float], vertical: bool
) -> Yarn:
    size = along.shape[0]
    drift = 0.14 * smooth_noise(rng, size, 5, 5) + 0.05 * smooth_noise(rng, size, 40, 40)
    uneven = smooth_noise(rng, size, 14, 60)
    fibres = 0.5 * grain(rng, size, 0.02, 0.001) + 0.4 * grain(rng, size, 0.003, 0.003)
    if vertical:
        uneven, fibres = uneven.T, fibres.T
    pitch = THREADS * (1 + 0.008 * rng.standard_normal())
    return Yarn(
        position=along * np.float32(pitch) + drift + np.float32(_TABLE / 2 + rng.uniform(-1, 1)),
        width=np.float32(0.93 + 0.012 * rng.standard_normal()) + 0.04 * uneven,
        tone=_tones(rng, color),
        fibres=fibres,
        dye=np.ones((3, 1, 1), np.float32),
    )


def draw_weave(rng: np.random.Generator, size: int) -> Weave:
    """Return a flawless cloth."""
    u, v = rotate(*grid(size), np.deg2rad(rng.standard_normal()))
    batch = 1 + 0.015 * rng.standard_normal(3)
    warp = tuple(float(c) for c in batch * (0.74, 0.69, 0.6))
    weft = tuple(float(c) for c in batch * (0.6, 0.61, 0.59))
    return Weave(
        warp=_draw_yarn(rng, u, (warp[0], warp[1], warp[2]), vertical=True),
        weft=_draw_yarn(rng, v, (weft[0], weft[1], weft[2]), vertical=False),
        stain=1 + 0.02 * smooth_noise(rng, size, 5, 5)[None],
        table=float(rng.uniform(0.2, 0.45)),
        light=draw_light(rng, azimuth=-2.2, spread=0.5, elevation=0.85, falloff=0.07),
        camera=draw_camera(rng),
    )


def _thread_height(yarn: Yarn, crossing: Yarn, lift: int) -> Array:
    """Return the upper side of a yarn's threads in thread spacings, `_GROUND` between them."""
    offset = yarn.position - as_array(yarn.index) - np.float32(0.5)
    section = np.square(0.5 * yarn.width) - np.square(offset)
    side = as_array(lift - 2 * lift * (yarn.index & 1))
    crimp = side * np.sin(np.float32(np.pi) * crossing.position)
    height = np.sqrt(np.maximum(section, 0)) + np.float32(0.3) * crimp
    return np.where(section > 0, height, np.float32(_GROUND))


def _color(yarn: Yarn) -> Array:
    tone = np.take(yarn.tone, yarn.index, axis=1, mode="clip")
    return tone * yarn.dye * (1 + 0.07 * yarn.fibres)


def weave_radiance(weave: Weave) -> Array:
    """Return the rendered cloth, [3, H, W]."""
    warp = _thread_height(weave.warp, weave.weft, 1)
    weft = _thread_height(weave.weft, weave.warp, -1)
    height = np.maximum(warp, weft)
    albedo = np.where(warp > weft, _color(weave.warp), _color(weave.weft))
    albedo = albedo * weave.stain
    bare = height <= _GROUND
    albedo[:, bare] = weave.table
    # Light that reaches the depth between threads is lost to their sides.
    albedo *= np.clip(0.3 + 1.1 * (height - _GROUND), 0.3, 1)
    gloss = np.where(bare, 0, np.float32(0.05))
    surface = Surface(as_array(height / THREADS), albedo, gloss, shininess=12)
    return shade(surface, weave.light)
