"""The one drawing kit of contact sheets and overlays: text, outlines, boxes, colours, cells."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from clflow.data.images import Box, resize_image, resize_mask

CELL = 192
GAP = 8
LINE = 20

_INK = (30, 30, 30)
_RED = (255, 0, 0)
_WHITE = (255, 255, 255)
_YELLOW = (255, 220, 0)
# not white, so that an image of white background ends visibly
_PAPER = 236
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_TEXT_SCALE = 0.45
_TEXT_DROP = 5
_BAR = 22

Picture = NDArray[np.uint8]


def page(height: int, width: int) -> Picture:
    """Return an empty page [height, width, 3]."""
    return np.full((height, width, 3), _PAPER, np.uint8)


def write(lines: Sequence[str], width: int) -> Picture:
    """Return lines of text on a page of this width; a line that is too long is cut."""
    written = page(len(lines) * LINE, width)
    for number, line in enumerate(lines, start=1):
        place = (0, number * LINE - _TEXT_DROP)
        cv2.putText(written, _cut(line, width), place, _FONT, _TEXT_SCALE, _INK, 1, cv2.LINE_AA)
    return written


def _cut(text: str, width: int) -> str:
    if _text_width(text) <= width:
        return text
    while text and _text_width(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."


def _text_width(text: str) -> int:
    return int(cv2.getTextSize(text, _FONT, _TEXT_SCALE, 1)[0][0])


def title_bar(text: str, width: int) -> Picture:
    """Return a line of text, white on black, of a width."""
    bar = np.zeros((_BAR, width, 3), np.uint8)
    cv2.putText(bar, text, (6, 15), _FONT, 0.42, _WHITE, 1, cv2.LINE_AA)
    return bar


def image_cell(image: NDArray[np.uint8], side: int = CELL) -> Picture:
    """Return an image [H, W, 3] at the size of a cell."""
    return resize_image(image, side, side)


def mask_cell(mask: NDArray[np.bool_]) -> Picture:
    """Return a mask [H, W] in black and white at the size of a cell."""
    small = resize_mask(mask, CELL, CELL).astype(np.uint8) * np.uint8(255)
    return np.repeat(small[..., None], 3, axis=2)


def heat_cell(values: NDArray[np.float32], top: float) -> Picture:
    """Return values [H, W] from 0 (black) to `top` (bright yellow) at the size of a cell."""
    small = cv2.resize(values, (CELL, CELL), interpolation=cv2.INTER_LINEAR)
    return heat(np.clip(255 * small / top, 0, 255).astype(np.uint8))


def heat(levels: NDArray[np.uint8]) -> Picture:
    """Return levels [H, W] from 0 (black) to 255 (bright yellow) in colours."""
    return np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1])


def heat_bar() -> Picture:
    """Return the colours of `heat_cell` from its lowest to its highest value, one line high."""
    ramp = np.linspace(0, 1, CELL, dtype=np.float32)
    return heat_cell(np.tile(ramp, (CELL, 1)), 1.0)[: LINE // 2]


def boxed(cell: Picture, boxes: Iterable[Box], shape: tuple[int, int]) -> Picture:
    """Return a cell with half-open boxes drawn that are in pixels of an image of `shape` (H, W)."""
    drawn = cell.copy()
    for x0, y0, x1, y1 in boxes:
        left, right = (round(edge * CELL / shape[1]) for edge in (x0, x1))
        top, bottom = (round(edge * CELL / shape[0]) for edge in (y0, y1))
        cv2.rectangle(drawn, (left, top), (right - 1, bottom - 1), _YELLOW, 1)
    return drawn


def outlined(cell: Picture, mask: NDArray[np.bool_]) -> Picture:
    """Return a cell with a line drawn around a mask [H, W], outside of what it marks."""
    small = resize_mask(mask, CELL, CELL).astype(np.uint8)
    around = np.asarray(cv2.dilate(small, np.ones((3, 3), np.uint8)), np.uint8)
    return _contoured(cell, around, cv2.RETR_CCOMP, cv2.LINE_8)


def edged(picture: Picture, mask: NDArray[np.bool_] | None) -> Picture:
    """Return a picture [H, W, 3] with the outer edge of what a mask marks drawn on it, if any."""
    if mask is None:
        return picture.copy()
    small = resize_mask(mask, *picture.shape[:2]).astype(np.uint8)
    return _contoured(picture, small, cv2.RETR_EXTERNAL, cv2.LINE_AA)


def _contoured(picture: Picture, marked: NDArray[np.uint8], kind: int, line: int) -> Picture:
    contours, _ = cv2.findContours(marked, kind, cv2.CHAIN_APPROX_NONE)
    drawn = picture.copy()
    cv2.drawContours(drawn, contours, -1, _RED, 1, line)
    return drawn


def beside(pictures: Sequence[Picture]) -> Picture:
    """Return pictures in a row, a gap between them, their upper edges aligned."""
    height = max(picture.shape[0] for picture in pictures)
    gap = page(height, GAP)
    padded = [part for picture in pictures for part in (_padded(picture, height), gap)]
    return np.concatenate(padded[:-1], axis=1)


def below(pictures: Sequence[Picture], gap: int = GAP) -> Picture:
    """Return pictures in a column, a gap between them, their left edges aligned."""
    width = max(picture.shape[1] for picture in pictures)
    space = page(gap, width)
    padded = [part for picture in pictures for part in (_padded(picture, None, width), space)]
    return np.concatenate(padded[:-1], axis=0)


def grid(rows: Sequence[Sequence[Picture]], gap: int) -> Picture:
    """Return rows of cells of one size, a gap on the right of each and below it."""
    edge = ((0, gap), (0, gap), (0, 0))
    padded = [[np.pad(cell, edge, constant_values=_PAPER) for cell in row] for row in rows]
    return np.concatenate([np.concatenate(row, axis=1) for row in padded], axis=0)


def framed(picture: Picture) -> Picture:
    """Return a picture with a margin."""
    return np.pad(picture, ((GAP, GAP), (GAP, GAP), (0, 0)), constant_values=_PAPER)


def _padded(picture: Picture, height: int | None = None, width: int | None = None) -> Picture:
    missing = ((height or picture.shape[0]) - picture.shape[0],)
    wanting = ((width or picture.shape[1]) - picture.shape[1],)
    return np.pad(picture, ((0, *missing), (0, *wanting), (0, 0)), constant_values=_PAPER)
