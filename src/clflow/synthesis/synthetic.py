"""A synthetic anomaly, how a generator finishes one, and what plain generators share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from clflow.data.images import Box
from clflow.errors import DataError
from clflow.synthesis.labels import (
    MEDIAN_REACH,
    LabelSettings,
    SourceKind,
    change_mask,
    make_label,
    mean_change,
)

if TYPE_CHECKING:
    from clflow.synthesis.background import Decision
    from clflow.synthesis.settings import SynthesizeSettings


Patches = tuple[dict[str, list[int]], ...]
Window = tuple[slice, slice]
Settings = TypeVar("Settings", bound=LabelSettings)


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
    patches: Patches
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


def box_of(window: Window) -> list[int]:
    """Return a window as a box [x0, y0, x1, y1]."""
    rows, columns = window
    return [columns.start, rows.start, columns.stop, rows.stop]


def finish(
    destination: NDArray[np.uint8],
    image: NDArray[np.uint8],
    region: NDArray[np.bool_],
    settings: LabelSettings,
    factor: float = 1.0,
    patches: Patches = (),
) -> Synthetic | None:
    """Return the anomaly that made `destination` [H, W, 3] into `image`, None if none is visible.

    Changes count inside `region` [H, W]; factor is the label of a changed pixel for `continuous`.
    """
    window = _window(region)
    change, mask = np.zeros(region.shape, np.float32), np.zeros(region.shape, bool)
    change[window] = mean_change(destination[window], image[window], region[window])
    mask[window] = change_mask(change[window], settings.tolerance, despeckle=settings.despeckle)
    boxes = component_boxes(mask[window], (window[1].start, window[0].start))
    if not boxes:
        return None
    draw_label = partial(
        make_label,
        settings.label,
        change,
        mask,
        settings.logistic_k,
        settings.logistic_x0,
        factor,
    )
    return Synthetic(image, mask, boxes, patches, draw_label)


def _window(region: NDArray[np.bool_]) -> Window:
    """Return the part of the image around `region` that medians near it look at."""
    x, y, width, height = cv2.boundingRect(region.astype(np.uint8))
    left, top = max(0, x - MEDIAN_REACH), max(0, y - MEDIAN_REACH)
    return slice(top, y + height + MEDIAN_REACH), slice(left, x + width + MEDIAN_REACH)


class PlainGenerator(Generic[Settings]):
    """A generator that is set by the stage alone, whatever the category.

    Its settings, of type `model`, are the `section` of the stage's; its patches come from `kind`.
    """

    model: type[Settings]
    section: ClassVar[str]
    kind: ClassVar[SourceKind]

    def resolve(self, decision: "Decision", settings: "SynthesizeSettings") -> Settings:
        """Return the settings of the stage."""
        return cast(Settings, getattr(settings, self.section))

    def load(self, values: Mapping[str, Any]) -> Settings:
        """Return the settings that a manifest row holds."""
        return self.model.model_validate(values)

    def source(self, settings: Settings) -> SourceKind:
        """Return which image patches come from."""
        return self.kind
