"""One synthetic anomaly: what every generator returns."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from clflow.errors import DataError

Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Synthetic:
    """An image with a synthetic anomaly and where it is.

    image: uint8 [H, W, 3] RGB; mask: bool [H, W], the visibly changed pixels; boxes: half-open
    pixel boxes (x0, y0, x1, y1), tight around the 8-connected components of the mask; patches: one
    dict of plain numbers per pasted patch; draw_label makes the label when it is asked for.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    boxes: tuple[Box, ...]
    patches: tuple[dict[str, list[int]], ...]
    draw_label: Callable[[], NDArray[np.float32]]

    @cached_property
    def label(self) -> NDArray[np.float32]:
        """The training target [H, W]; a bank never needs it, and it costs more than the rest."""
        return self.draw_label()


def component_boxes(mask: NDArray[np.bool_], origin: tuple[int, int] = (0, 0)) -> tuple[Box, ...]:
    """Return the tight half-open boxes of the 8-connected components of a mask [H, W], sorted.

    origin is the place (x, y) of the mask's first pixel in its image.
    """
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    corners = stats[1:, :2] + np.array(origin, np.int32)
    ends = corners + stats[1:, 2:4]
    # the order of components is OpenCV's own and differs between a mask and a part of it
    return tuple(sorted((x0, y0, x1, y1) for x0, y0, x1, y1 in np.c_[corners, ends].tolist()))


def check_pair(destination: NDArray[np.uint8], source: NDArray[np.uint8]) -> None:
    """Check that both images are uint8 [H, W, 3] of one size.

    Raises:
        DataError: they are not.
    """
    for name, image in (("destination", destination), ("source", source)):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise DataError(
                f"the {name} image of a synthetic anomaly is {image.dtype} {list(image.shape)}; "
                "it must be uint8 [H, W, 3]: read it with clflow.data.images.read_image"
            )
    if destination.shape != source.shape:
        raise DataError(
            f"destination {list(destination.shape)} and source {list(source.shape)} differ in "
            "size; resize both to one size first"
        )
