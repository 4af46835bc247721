"""Defects of the weave, made in the yarns before they are lit."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from clflow.demo.category import Category
from clflow.demo.fields import Array, as_array, blob, grid, log_uniform, ramp, sign
from clflow.demo.weave import Weave, Yarn, draw_weave, weave_radiance

_MARGIN = 0.38


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
