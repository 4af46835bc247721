"""How the pixels of a file are understood, where that is not as usual."""

from dataclasses import dataclass
from typing import Literal

MaskRule = Literal["auto", "nonzero", "inverted", "alpha"]
MASK_RULES: tuple[MaskRule, ...] = ("auto", "nonzero", "inverted", "alpha")

_SEPARATOR = ","


@dataclass(frozen=True)
class Reading:
    """`white` is the value that becomes 255, None for the largest that 8 or 16 bits hold.

    `upright` is whether an image is turned as its EXIF orientation says, `mask` by which rule its
    mask is read.
    """

    white: float | None = None
    upright: bool = True
    mask: MaskRule = "auto"

    def __str__(self) -> str:
        """Return what differs from the usual, as "white=4095,mask=alpha"; "" where nothing does."""
        parts = []
        if self.white is not None:
            parts.append(f"white={self.white:.9g}")
        if not self.upright:
            parts.append("orientation=ignore")
        if self.mask != "auto":
            parts.append(f"mask={self.mask}")
        return _SEPARATOR.join(parts)


AS_USUAL = Reading()


def parse_reading(text: str) -> Reading:
    """Return the reading that a text made by `str` means.

    Raises:
        ValueError: it is no such text.
    """
    if not text:
        return AS_USUAL
    values = dict(part.partition("=")[::2] for part in text.split(_SEPARATOR))
    white = values.get("white")
    mask = next((rule for rule in MASK_RULES if rule == values.get("mask", "auto")), None)
    reading = Reading(
        None if white is None else float(white), "orientation" not in values, mask or "auto"
    )
    if str(reading) != text:
        raise ValueError(f"{text!r} is no way to read an image")
    return reading
