"""CutPaste scar (C.-L. Li et al., CVPR 2021): a thin strip of an image, turned and pasted."""

import cv2
import numpy as np
from numpy.typing import NDArray

from clflow.synthesis.cutpaste import box_of, draw_window
from clflow.synthesis.cutpaste_settings import Pixels, ScarSettings
from clflow.synthesis.finish import finish
from clflow.synthesis.jitter import jitter_colours
from clflow.synthesis.plain import PlainGenerator
from clflow.synthesis.synthetic import Synthetic, check_pair

_PUBLISHED_SIDE = 256


class CutPasteScar(PlainGenerator[ScarSettings]):
    """The CutPaste scar generator of the registry."""

    model = ScarSettings
    section = "cutpaste_scar"
    kind = "same"

    def generate(
        self,
        destination: NDArray[np.uint8],
        source: NDArray[np.uint8],
        settings: ScarSettings,
        rng: np.random.Generator,
    ) -> Synthetic | None:
        """Paste a strip of `source` [H, W, 3], jittered and turned, into `destination`.

        Returns None where nothing changes visibly.

        Raises:
            DataError: the images are not uint8 [H, W, 3] of one size.
        """
        check_pair(destination, source)
        shape = destination.shape[:2]
        height, width = (_length(b, min(shape), rng) for b in (settings.height, settings.width))
        taken = draw_window(shape, (height, width), rng)
        angle = float(rng.uniform(-settings.rotation, settings.rotation))
        strip, inside = _turned(jitter_colours(source[taken], settings.jitter, rng), angle, shape)
        put = draw_window(shape, (inside.shape[0], inside.shape[1]), rng)
        image, region = destination.copy(), np.zeros(shape, bool)
        image[put] = np.where(inside[..., None], strip, image[put])
        region[put] = inside
        boxes = {"source": box_of(taken), "destination": box_of(put)}
        return finish(destination, image, region, settings, patches=(boxes,))


def _length(bounds: Pixels, side: int, rng: np.random.Generator) -> int:
    pixels = rng.uniform(*bounds) * side / _PUBLISHED_SIDE
    return int(np.clip(round(pixels), 2, side))


def _turned(
    patch: NDArray[np.uint8], angle: float, limit: tuple[int, ...]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a patch turned by `angle` degrees in a box that just holds it, and where it is."""
    height, width = patch.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    cosine, sine = abs(turn[0, 0]), abs(turn[0, 1])
    size = (
        min(limit[1], int(np.ceil(width * cosine + height * sine))),
        min(limit[0], int(np.ceil(width * sine + height * cosine))),
    )
    turn[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    pixels = cv2.warpAffine(patch, turn, size, borderMode=cv2.BORDER_REPLICATE)
    whole = np.ones((height, width), np.uint8)
    inside = cv2.warpAffine(whole, turn, size, flags=cv2.INTER_NEAREST)
    return np.asarray(pixels, np.uint8), np.asarray(inside > 0)
