"""CutPaste (C.-L. Li et al., CVPR 2021): a rectangle of an image, pasted elsewhere in it."""

import math

import numpy as np
from numpy.typing import NDArray

from clflow.synthesis.cutpaste_settings import CutPasteSettings
from clflow.synthesis.finish import finish
from clflow.synthesis.jitter import jitter_colours
from clflow.synthesis.plain import PlainGenerator
from clflow.synthesis.synthetic import Synthetic, check_pair


class CutPaste(PlainGenerator[CutPasteSettings]):
    """The CutPaste generator of the registry."""

    model = CutPasteSettings
    section = "cutpaste"
    kind = "same"

    def generate(
        self,
        destination: NDArray[np.uint8],
        source: NDArray[np.uint8],
        settings: CutPasteSettings,
        rng: np.random.Generator,
    ) -> Synthetic | None:
        """Paste a rectangle of `source` [H, W, 3], its colours jittered, into `destination`.

        Returns None where nothing changes visibly.

        Raises:
            DataError: the images are not uint8 [H, W, 3] of one size.
        """
        check_pair(destination, source)
        shape = destination.shape[:2]
        size = _size(shape, settings, rng)
        taken, put = (draw_window(shape, size, rng) for _ in range(2))
        image, region = destination.copy(), np.zeros(shape, bool)
        image[put] = jitter_colours(source[taken], settings.jitter, rng)
        region[put] = True
        boxes = {"source": box_of(taken), "destination": box_of(put)}
        return finish(destination, image, region, settings, patches=(boxes,))


def draw_window(
    shape: tuple[int, ...], size: tuple[int, int], rng: np.random.Generator
) -> tuple[slice, slice]:
    """Return where a patch of size (h, w) lies in an image of shape (H, W), uniformly."""
    starts = [
        int(rng.integers(0, side - length + 1)) for side, length in zip(shape, size, strict=True)
    ]
    rows, columns = (slice(s, s + length) for s, length in zip(starts, size, strict=True))
    return rows, columns


def box_of(window: tuple[slice, slice]) -> list[int]:
    """Return a window as a box [x0, y0, x1, y1]."""
    rows, columns = window
    return [columns.start, rows.start, columns.stop, rows.stop]


def _size(
    shape: tuple[int, ...], settings: CutPasteSettings, rng: np.random.Generator
) -> tuple[int, int]:
    area = rng.uniform(*settings.area) * shape[0] * shape[1]
    low, high = (math.log(bound) for bound in settings.aspect)
    aspect = math.exp(rng.uniform(low, high))
    height, width = math.sqrt(area * aspect), math.sqrt(area / aspect)
    return (
        int(np.clip(round(height), 1, shape[0])),
        int(np.clip(round(width), 1, shape[1])),
    )
