"""Images for the tests of NSA: textures, objects on plain ground, and anomalies made of them."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from clflow.synthesis.nsa import NSA, NSASettings
from clflow.synthesis.synthetic import Synthetic

Image = NDArray[np.uint8]

BACKGROUND = (200.0, 40.0)
TEXTURE = NSASettings(patches=4, clone="mixed", resize_bounds=(0.5, 2.0))
OBJECT = NSASettings(patches=3, background=BACKGROUND)

few = settings(max_examples=25, deadline=None)
sides = st.integers(33, 97)
seeds = st.integers(0, 10_000)


def textured(height: int, width: int, seed: int) -> Image:
    """Return smoothed noise that covers the image, [height, width, 3]."""
    noise = np.random.default_rng(seed).normal(120, 30, (height, width, 3))
    smooth = ndimage.gaussian_filter(noise, (1.5, 1.5, 0)) * 2 - 120
    return smooth.clip(0, 255).astype(np.uint8)


def on_plain_ground(height: int, width: int, seed: int) -> Image:
    """Return a dark textured box on an even bright ground, [height, width, 3]."""
    image = np.full((height, width, 3), 200, np.uint8)
    inner = (slice(height // 6, -height // 6), slice(width // 6, -width // 6))
    image[inner] = textured(height, width, seed)[inner] // 2
    return image


def generated(
    chosen: NSASettings, height: int, width: int, seed: int
) -> tuple[Image, Image, Synthetic | None]:
    """Return destination, source and the anomaly made of them, if it succeeds."""
    draw = textured if chosen.background is None else on_plain_ground
    destination, source = draw(height, width, seed), draw(height, width, seed + 1)
    rng = np.random.default_rng(seed)
    return destination, source, NSA().generate(destination, source, chosen, rng)


def first_success(chosen: NSASettings, side: int = 96) -> tuple[Image, Synthetic]:
    """Return the first destination of 20 seeds that gives an anomaly, and the anomaly."""
    for seed in range(20):
        destination, _, synthetic = generated(chosen, side, side, seed)
        if synthetic is not None:
            return destination, synthetic
    raise AssertionError("no seed of 20 gives an anomaly")
