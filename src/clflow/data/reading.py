"""How the pixels of a file are understood, where that is not as usual, and which do not count."""

from dataclasses import dataclass
from typing import Literal

MaskRule = Literal["auto", "nonzero", "inverted", "alpha"]
MASK_RULES: tuple[MaskRule, ...] = ("auto", "nonzero", "inverted", "alpha")

SEPARATOR = ","


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
        return SEPARATOR.join(parts)


@dataclass(frozen=True)
class Ignored:
    """Which pixels of an image do not count.

    `border` is how many from each edge; `mask` is the POSIX path of a picture relative to the study
    root, "" for none, and `sha256` its content: what is not zero there does not count.
    """

    border: int = 0
    mask: str = ""
    sha256: str = ""

    def __str__(self) -> str:
        """Return it as "border=4,ignored=part/ignore.png,sha256=..."; "" where all count."""
        parts = [f"border={self.border}"] if self.border else []
        if self.mask:
            parts += [f"ignored={self.mask}", f"sha256={self.sha256}"]
        return SEPARATOR.join(parts)


AS_USUAL = Reading()
NONE_IGNORED = Ignored()


def reading_text(reading: Reading, ignored: Ignored = NONE_IGNORED) -> str:
    """Return both as one text, of which `parse_reading` and `parse_ignored` read their parts."""
    return SEPARATOR.join(filter(None, (str(reading), str(ignored))))


def parse_reading(text: str) -> Reading:
    """Return the reading that a text made by `str` or `reading_text` means.

    Raises:
        ValueError: it is no such text.
    """
    return _parse(text)[0]


def parse_ignored(text: str) -> Ignored:
    """Return which pixels do not count by a text made by `reading_text`.

    Raises:
        ValueError: it is no such text.
    """
    return _parse(text)[1]


def _parse(text: str) -> tuple[Reading, Ignored]:
    if not text:
        return AS_USUAL, NONE_IGNORED
    values = dict(part.partition("=")[::2] for part in text.split(SEPARATOR))
    white = values.get("white")
    mask = next((rule for rule in MASK_RULES if rule == values.get("mask", "auto")), None)
    reading = Reading(
        None if white is None else float(white), "orientation" not in values, mask or "auto"
    )
    border, names = int(values.get("border", 0)), (values.get(k, "") for k in ("ignored", "sha256"))
    ignored = Ignored(border, *names)
    if reading_text(reading, ignored) != text:
        raise ValueError(f"{text!r} is no way to read an image")
    return reading, ignored
