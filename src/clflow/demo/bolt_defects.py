"""Defects of the bolt, made in its shape and finish before it is lit."""

from dataclasses import replace

import numpy as np

from clflow.demo.bolt import (
    FLANGE,
    FLANGE_END,
    HEAD_END,
    HEAD_START,
    SHANK,
    THREAD_START,
    TIP,
    Bolt,
    bolt_radiance,
    draw_bolt,
)
from clflow.demo.category import Category
from clflow.demo.fields import blob, log_uniform, ramp, sign
from clflow.demo.lighting import color


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
