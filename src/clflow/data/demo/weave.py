"""The weave of the demo and its defects, made in the yarns before they are lit."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from clflow.data.demo.scene import (
    Array,
    Camera,
    Category,
    Light,
    Surface,
    as_array,
    blob,
    draw_camera,
    draw_light,
    grain,
    grid,
    log_uniform,
    ramp,
    rotate,
    shade,
    sign,
    smooth_noise,
)

THREADS = 30
_TABLE = 64
_GROUND = -0.75
_MARGIN = 0.38


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


def _place(rng: np.random.Generator, weave: Weave) -> tuple[Array, Array]:
    """Return coordinates [H, W] around a random place in the cloth."""
    x, y = grid(weave.warp.position.shape[0])
    return x - float(rng.uniform(-_MARGIN, _MARGIN)), y - float(rng.uniform(-_MARGIN, _MARGIN))


def _one_thread(yarn: Yarn, across: Array, along: Array, length: float) -> Array:
    """Return where [H, W] the thread through the origin runs, fading out at its ends."""
    middle = np.unravel_index(int(np.argmin(np.hypot(across, along))), across.shape)
    chosen = yarn.index == yarn.index[middle]
    return chosen * (1 - ramp(np.abs(along), 0.42 * length, 0.58 * length))


def _with_yarn(
    weave: Weave, rng: np.random.Generator, change: Callable[[Yarn, Array, Array], Yarn]
) -> Weave:
    """Return the cloth with `change` made to the warp or the weft, at random."""
    x, y = _place(rng, weave)
    if rng.integers(2):
        return replace(weave, warp=change(weave.warp, x, y))
    return replace(weave, weft=change(weave.weft, y, x))


def missing_thread(weave: Weave, rng: np.random.Generator) -> Weave:
    """Return the cloth with one thread torn out, or thinned, over some length."""
    length, loss = log_uniform(rng, 0.1, 0.6), rng.uniform(0.5, 1)

    def tear(yarn: Yarn, across: Array, along: Array) -> Yarn:
        where = _one_thread(yarn, across, along, length)
        return replace(yarn, width=yarn.width * (1 - np.float32(loss) * where))

    return _with_yarn(weave, rng, tear)


def wrong_color(weave: Weave, rng: np.random.Generator) -> Weave:
    """Return the cloth with a foreign thread woven in over some length."""
    length, strength = log_uniform(rng, 0.1, 0.6), log_uniform(rng, 0.25, 0.9)
    hue = 1 + strength * sign(rng) * rng.dirichlet((0.6, 0.6, 0.6)) * rng.uniform(1, 2)
    dye_change = as_array(np.maximum(hue, 0.15) - 1)[:, None, None]

    def dye(yarn: Yarn, across: Array, along: Array) -> Yarn:
        return replace(yarn, dye=1 + dye_change * _one_thread(yarn, across, along, length))

    return _with_yarn(weave, rng, dye)


def _frayed(yarn: Yarn, depth: Array, rng: np.random.Generator) -> Yarn:
    """Return the yarn cut where `depth` is positive, every thread at a length of its own."""
    ends = as_array(rng.normal(0, 0.25, size=(yarn.tone.shape[1],)))
    cut = ramp(depth + np.take(ends, yarn.index, mode="clip"), -0.15, 0.1)
    return replace(yarn, width=yarn.width * (1 - cut))


def hole(weave: Weave, rng: np.random.Generator) -> Weave:
    """Return the cloth with a hole whose threads end unevenly."""
    x, y = _place(rng, weave)
    depth = blob(x, y, log_uniform(rng, 0.02, 0.06), rng)
    warp, weft = _frayed(weave.warp, depth, rng), _frayed(weave.weft, depth, rng)
    return replace(weave, warp=warp, weft=weft)


def stain(weave: Weave, rng: np.random.Generator) -> Weave:
    """Return the cloth with oil soaked in: absorption, strongest at the drying edge."""
    x, y = _place(rng, weave)
    depth = blob(x, y, log_uniform(rng, 0.03, 0.14), rng, wobble=0.15)
    wet = ramp(depth, -0.1, 0.25) + 0.4 * np.exp(-np.square((depth - 0.08) / 0.1))
    absorption = log_uniform(rng, 0.22, 0.7) * np.array((0.7, 0.9, 1.3))
    soaked = np.exp(-wet * absorption.astype(np.float32)[:, None, None])
    return replace(weave, stain=weave.stain * soaked)


def bunching(weave: Weave, rng: np.random.Generator) -> Weave:
    """Return the cloth with threads pushed together, and apart beside them."""
    shift = sign(rng) * log_uniform(rng, 0.6, 2.0)
    across_size, along_size = rng.uniform(0.03, 0.06), rng.uniform(0.04, 0.1)

    def push(yarn: Yarn, across: Array, along: Array) -> Yarn:
        bell = np.exp(-0.5 * (np.square(across / across_size) + np.square(along / along_size)))
        return replace(
            yarn, position=yarn.position + np.float32(shift) * across / across_size * bell
        )

    return _with_yarn(weave, rng, push)


WEAVE = Category(
    draw=draw_weave,
    radiance=weave_radiance,
    camera=lambda weave: weave.camera,
    defects={
        "bunching": bunching,
        "hole": hole,
        "missing_thread": missing_thread,
        "stain": stain,
        "wrong_color": wrong_color,
    },
)
