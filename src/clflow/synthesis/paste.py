"""Putting a patch into an image: interpolation, a hard paste, or Poisson blending."""

import numpy as np
from numpy.typing import NDArray

from clflow.synthesis.blend import seamless_clone
from clflow.synthesis.fields import PasteMode
from clflow.synthesis.patch import Patch


def paste(
    image: NDArray[np.uint8], patch: Patch, mode: PasteMode, factor: float
) -> NDArray[np.uint8] | None:
    """Return a copy of `image` [H, W, 3] with a patch in it; None where it is too small to blend.

    normal and mixed blend its gradients with weight `factor`, over the whole shape; interpolate
    mixes its pixels with that weight where it may count as changed, swap replaces them.
    """
    if mode == "normal" or mode == "mixed":
        return seamless_clone(image, patch.pixels, patch.shape, patch.corner, mode, factor)
    pasted = image.copy()
    weight = 1.0 if mode == "swap" else factor
    pasted[patch.window] = interpolate(image[patch.window], patch.pixels, patch.region, weight)
    return pasted


def interpolate(
    below: NDArray[np.uint8],
    above: NDArray[np.uint8],
    region: NDArray[np.bool_],
    weight: float,
) -> NDArray[np.uint8]:
    """Return (1 - weight) * below + weight * above where `region` [H, W] is set, else below."""
    mixed = (1 - weight) * below[region].astype(np.float64) + weight * above[region]
    result = below.copy()
    result[region] = np.rint(mixed)
    return result
