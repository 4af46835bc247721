"""Foreign patch and Poisson image interpolation (FPI and PII, J. Tan et al., 2020 and 2021)."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clflow.synthesis.blending import interpolate, seamless_clone
from clflow.synthesis.labels import HalfWidths, LabelKind, LabelSettings, Share, Weights
from clflow.synthesis.synthetic import (
    Patches,
    PlainGenerator,
    Synthetic,
    Window,
    box_of,
    check_pair,
    finish,
)


class FPISettings(LabelSettings):
    """Half-widths and `centre`, the central part that holds the centres, are shares of the side."""

    half_width: HalfWidths = (0.05, 0.2)
    centre: Share = 0.8
    factor_bounds: Weights = (0.05, 0.95)
    label: LabelKind = "continuous"


class PIISettings(FPISettings):
    """As FPI, but blended: `clone` says whose gradients a pixel keeps."""

    clone: Literal["normal", "mixed"] = "mixed"
    despeckle: bool = True


def sample_square(
    shape: tuple[int, int], settings: FPISettings, rng: np.random.Generator
) -> Window:
    """Draw a square, cut off at the border of an image of shape (H, W).

    The half-width is uniform among the whole numbers between the bounds, the centre uniform in the
    central part of the image.
    """
    side = min(shape)
    low, high = (round(bound * side) for bound in settings.half_width)
    half = int(rng.integers(max(1, low), max(low, 1, high - 1) + 1))
    spans = []
    for length in shape:
        margin = round((1 - settings.centre) / 2 * length)
        centre = int(rng.integers(margin, max(margin + 1, length - margin)))
        spans.append(slice(max(0, centre - half), min(length, centre + half)))
    return spans[0], spans[1]


def _in_place(window: Window) -> Patches:
    """Return the boxes of a patch that stays where it was taken, for the manifest."""
    return ({"source": box_of(window), "destination": box_of(window)},)


class FPI(PlainGenerator[FPISettings]):
    """The FPI generator of the registry."""

    model = FPISettings
    section = "fpi"
    kind = "other"

    def generate(
        self,
        destination: NDArray[np.uint8],
        source: NDArray[np.uint8],
        settings: FPISettings,
        rng: np.random.Generator,
    ) -> Synthetic | None:
        """Mix a square of `source` [H, W, 3] into `destination` with one random weight.

        Returns None where the two images show the same there.

        Raises:
            DataError: the images are not uint8 [H, W, 3] of one size.
        """
        check_pair(destination, source)
        window = sample_square(destination.shape[:2], settings, rng)
        factor = float(rng.uniform(*settings.factor_bounds))
        region = np.zeros(destination.shape[:2], bool)
        region[window] = True
        image = interpolate(destination, source, region, factor)
        return finish(destination, image, region, settings, factor, _in_place(window))


class PII(PlainGenerator[PIISettings]):
    """The PII generator of the registry."""

    model = PIISettings
    section = "pii"
    kind = "other"

    def generate(
        self,
        destination: NDArray[np.uint8],
        source: NDArray[np.uint8],
        settings: PIISettings,
        rng: np.random.Generator,
    ) -> Synthetic | None:
        """Blend a square of `source` [H, W, 3] into `destination`, gradients weighted at random.

        Returns None where the square is too small to blend or nothing changes visibly.

        Raises:
            DataError: the images are not uint8 [H, W, 3] of one size.
        """
        check_pair(destination, source)
        window = sample_square(destination.shape[:2], settings, rng)
        factor = float(rng.uniform(*settings.factor_bounds))
        patch, corner = source[window], (window[0].start, window[1].start)
        whole = np.ones(patch.shape[:2], bool)
        image = seamless_clone(destination, patch, whole, corner, settings.clone, factor)
        if image is None:
            return None
        region = np.zeros(destination.shape[:2], bool)
        region[window] = True
        return finish(destination, image, region, settings, factor, _in_place(window))
