"""Masks that others drew: which pixels they mark, and when no rule can tell."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from clflow.data.decoding import colours, decode_image, header_of, read_content
from clflow.data.reading import AS_USUAL, MaskRule, Reading
from clflow.errors import DataError

How = Literal["plain", "colours", "classes", "threshold"]
Colour = tuple[int, ...]
Mask = NDArray[np.bool_]

# Shares of the range from background to brightest: up to the first a pixel is background, from the
# second on it is as bright as any; JPEG strays less than that.
_LOW, _HIGH, _HALF = 0.1, 0.9, 0.5
# numbers of classes are dark to the eye: they are no picture of a mask
_CLASS_NUMBERS = 1 / 8
# fewer pixels near black are none of its background
_BLACK_SHARE = 0.001
# of the pixels in between, more are no edge but a picture
_PICTURE_SHARE = 0.25
_WHOLE = 0.999
_UNCLEAR = 0.4


@dataclass(frozen=True, eq=False)
class GivenMask:
    """Marked pixels [H, W] and how they were found.

    `colours` are the two colours of a mask without black, background first; `problem` is why no
    study should use it, without the name of the file.
    """

    marked: Mask
    how: How = "plain"
    colours: tuple[Colour, Colour] | None = None
    problem: str | None = None


def read_given_mask(
    path: Path,
    shape: tuple[int, int],
    reading: Reading = AS_USUAL,
    orientation: int = 1,
    max_pixels: int | None = None,
) -> GivenMask:
    """Return what a mask marks, by the rule of `reading`.

    Args:
        shape: height and width of its image.
        orientation: the EXIF orientation by which that image was turned, for the message.

    Raises:
        DataError: the file cannot be read, or is of another size.
    """
    content = read_content(path)
    header = header_of(path, content, max_pixels)
    pixels = decode_image(path, content, header, upright=reading.upright)
    height, width = pixels.shape[:2]
    if (height, width) != shape:
        raise DataError(
            f"mask {path} is {width}x{height} but its image is {shape[1]}x{shape[0]} "
            f"(width x height){_way_out((height, width), shape, orientation)}"
        )
    colour = colours(pixels, path)
    alpha = pixels[..., 3] if pixels.ndim == 3 and pixels.shape[2] == 4 else None
    return interpret(colour, alpha, reading.mask)


def _way_out(size: tuple[int, int], shape: tuple[int, int], orientation: int) -> str:
    if orientation >= 5 and size == shape[::-1]:
        return (
            f" as viewers show it, turned by its EXIF orientation {orientation}: draw the mask on "
            "the turned image, or compare both as stored with prepare.orientation: ignore"
        )
    return ": export the mask at the size of the image"


def interpret(colour: NDArray[Any], alpha: NDArray[Any] | None, rule: MaskRule) -> GivenMask:
    """Return what grey [H, W] or RGB [H, W, 3] pixels and their alpha [H, W] mark."""
    if rule == "alpha":
        return _opaque(colour.shape[:2], alpha)
    brightness = colour if colour.ndim == 2 else colour.max(axis=2)
    if rule == "nonzero":
        return GivenMask(brightness > 0)
    found = _two_values(colour, brightness) or _several_values(colour, brightness)
    if rule == "inverted":
        return GivenMask(~found.marked, found.how)
    if alpha is not None and alpha.min() < alpha.max() and not _varies(colour):
        return GivenMask(found.marked, problem=_ALPHA_ONLY)
    return found


_ALPHA_ONLY = "has one colour, its shape is in the alpha channel: set prepare.mask: alpha"
_PICTURE = (
    "looks like a picture, not like a mask: most of its values are neither dark nor bright; "
    "give a mask of two values"
)
_AMBIGUOUS = (
    "has two colours of about the same area and none is black, so that it is not known which marks "
    "the defect: make the background black"
)


def judge(mask: GivenMask, limit: float) -> str | None:
    """Return why a mask should not be used, None where nothing is odd.

    Args:
        limit: the largest share of an image that a mask may mark.
    """
    share = float(mask.marked.mean())
    if mask.problem or share <= limit:
        return mask.problem
    if share >= _WHOLE:
        what = "marks the whole image"
    elif _border(mask.marked).mean() > share / 2 + 0.25:
        what = f"marks {100 * share:.0f} % of its image and most of its border, it looks inverted"
    else:
        what = f"marks {100 * share:.0f} % of its image"
    return (
        f"{what}: if dark pixels are the defect, save it inverted or, where all masks are so, set "
        f"prepare.mask: inverted; if it is right, raise prepare.mask_share ({limit:g})"
    )


def _border(marked: Mask) -> Mask:
    return np.concatenate([marked[0], marked[-1], marked[1:-1, 0], marked[1:-1, -1]])


def _opaque(shape: tuple[int, ...], alpha: NDArray[Any] | None) -> GivenMask:
    if alpha is None:
        problem = "has no alpha channel, as prepare.mask: alpha asks for: set another rule"
        return GivenMask(np.zeros(shape, bool), problem=problem)
    return GivenMask(alpha > np.iinfo(alpha.dtype).max // 2)


def _varies(pixels: NDArray[Any]) -> bool:
    return bool((pixels != pixels[0, 0]).any())


def _differs(colour: NDArray[Any], value: NDArray[Any]) -> Mask:
    differs = colour != value
    return differs if differs.ndim == 2 else differs.any(axis=2)


def _two_values(colour: NDArray[Any], brightness: NDArray[Any]) -> GivenMask | None:
    """Return what a mask of one or two colours marks, None where there are more."""
    first = colour[0, 0]
    others = _differs(colour, first)
    if not others.any():
        return GivenMask(brightness > 0)
    second = colour[others][0]
    if (_differs(colour, second) & others).any():
        return None
    if brightness.min() == 0:
        return GivenMask(brightness > 0)
    # no black: what is drawn is less than what it is drawn on
    rare = others if others.mean() <= _HALF else ~others
    pair = (first, second) if rare is others else (second, first)
    background, drawn = (tuple(np.atleast_1d(value).tolist()) for value in pair)
    unclear = _AMBIGUOUS if rare.mean() > _UNCLEAR else None
    return GivenMask(rare, "colours", (background, drawn), unclear)


def _several_values(colour: NDArray[Any], brightness: NDArray[Any]) -> GivenMask:
    full = np.iinfo(colour.dtype).max if colour.dtype != np.float32 else brightness.max()
    if brightness.min() == 0 and brightness.max() <= full * _CLASS_NUMBERS:
        return GivenMask(brightness > 0, "classes")
    height = np.asarray(brightness / brightness.max(), np.float32)
    if (height <= _LOW).mean() < _BLACK_SHARE:
        height = _from_background(colour)
    between = (height > _LOW) & (height < _HIGH)
    if _solid(height, between) >= _HALF:
        return GivenMask(height > _LOW, "classes")
    problem = _PICTURE if between.mean() > _PICTURE_SHARE else None
    return GivenMask(height >= _HALF, "threshold", problem=problem)


def _from_background(colour: NDArray[Any]) -> NDArray[np.float32]:
    """Return how far each pixel is from the commonest colour, of the farthest one's distance."""
    pixels = (colour[..., None] if colour.ndim == 2 else colour).astype(np.float32)
    coarse = np.floor(pixels * (15.0 / pixels.max())).astype(np.int64)
    keys = coarse @ (16 ** np.arange(coarse.shape[2]))
    values, counts = np.unique(keys, return_counts=True)
    background = np.median(pixels[keys == values[counts.argmax()]], axis=0)
    distance = np.abs(pixels - background).max(axis=2)
    return np.asarray(distance / distance.max(), np.float32)


def _solid(height: NDArray[np.float32], between: Mask) -> float:
    """Return the share of the pixels in between whose neighbours all have their value."""
    if not between.any():
        return 0.0
    kernel = np.ones((3, 3), np.uint8)
    values = height.astype(np.float32)
    flat = cv2.dilate(values, kernel) == cv2.erode(values, kernel)
    return float(np.asarray(flat)[between].mean())
