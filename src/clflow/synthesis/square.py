"""The square that FPI and PII exchange between two images."""

import numpy as np

from clflow.synthesis.fpi_settings import FPISettings

Window = tuple[slice, slice]


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


def numbers(window: Window) -> dict[str, list[int]]:
    """Return the boxes (x0, y0, x1, y1) of a patch that stays in place, for the manifest."""
    rows, columns = window
    box = [columns.start, rows.start, columns.stop, rows.stop]
    return {"source": box, "destination": box}
