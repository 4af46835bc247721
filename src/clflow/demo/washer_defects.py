"""Defects of the plate, made in its shape and relief before it is lit."""

from dataclasses import replace

import numpy as np

from clflow.demo.category import Category
from clflow.demo.fields import (
    along_curve,
    distance_to_curve,
    grid,
    log_uniform,
    ramp,
    sign,
    wander,
)
from clflow.demo.washer import HOLES, MARK, Plate, Washer, draw_washer, washer_radiance

_WRONG_MARKS = ("A7-80", "A1-30", "47-30", "A7-3", "A7 30", "B7-30", "")


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
