"""How much of 16-bit and float images is used: cameras of 10 or 12 bits leave the rest empty."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from clflow.data.inspection import Finding
from clflow.data.preparation import PrepareSettings

_BITS = (8, 10, 12, 14, 16)
_FLOAT_WHITES = (1.0, *(float(2**bits - 1) for bits in _BITS))
# a dark image of one depth is still brighter than that share of its neighbour in brightness
_GAP = 3.0
_WHOLE_RANGE = 65535.0


@dataclass(frozen=True)
class Depth:
    """The value that is white in all images that are not 8-bit, None where that is usual."""

    white: float | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find_depth(findings: Sequence[Finding], settings: PrepareSettings) -> Depth:
    """Return which value is white, by the largest one of all images.

    16-bit files are taken to use 8, 10, 12, 14 or 16 bits, float files to end at 1 or at what so
    many bits hold.
    """
    deep = [one for one in findings if one.look and one.look.depth != "8-bit"]
    if not deep:
        return Depth()
    depths = sorted({one.look.depth for one in findings if one.look})
    if settings.white is not None:
        return _given(deep, settings.white)
    if len(depths) > 1:
        return Depth(problems=(_mixed_depths(findings, depths),))
    if problem := _outside(deep) or _mixed_ranges(deep):
        return Depth(problems=(problem,))
    peak, whites = (
        max(map(_peak, deep)),
        _FLOAT_WHITES if depths == ["float"] else _FLOAT_WHITES[1:],
    )
    white = next((white for white in whites if peak <= white), None)
    if white is None:
        return Depth(problems=(f"{_named(deep, peak)}: {_SET_WHITE}",))
    if white == _WHOLE_RANGE and depths == ["16-bit"]:
        return Depth()
    note = (
        f"{len(deep)} {depths[0]} images use values up to {peak:g} of {_of(depths[0])}: "
        f"{white:g} is taken for white; set prepare.white if it is another value"
    )
    return Depth(white, notes=(note,))


def white_of_16_bits(peak: float) -> float | None:
    """Return which value is white in 16-bit pixels up to `peak`, None for the usual one.

    >>> white_of_16_bits(4000.0), white_of_16_bits(60000.0)
    (4095.0, None)
    """
    white = next(white for white in _FLOAT_WHITES[1:] if peak <= white)
    return None if white == _WHOLE_RANGE else white


_SET_WHITE = "say which value is white with prepare.white"


def _of(depth: str) -> str:
    return "any" if depth == "float" else "65535"


def _peak(finding: Finding) -> float:
    return finding.look.peak if finding.look else 0.0


def _named(findings: Sequence[Finding], peak: float) -> str:
    name = next(one.name for one in findings if _peak(one) == peak)
    return f"image {name} has values up to {peak:g}"


def _given(deep: Sequence[Finding], white: float) -> Depth:
    peak = max(map(_peak, deep))
    if peak > white:
        problem = (
            f"{_named(deep, peak)}, brighter than prepare.white ({white:g}): raise it to the "
            "largest value that the camera gives"
        )
        return Depth(white, problems=(problem,))
    usual = white == _WHOLE_RANGE and all(one.look and one.look.depth == "16-bit" for one in deep)
    return Depth(None if usual else white)


def _outside(deep: Sequence[Finding]) -> str | None:
    for one in deep:
        # NaN is not below anything either
        if one.look and not 0 <= one.look.low <= one.look.peak < float("inf"):
            return (
                f"image {one.name} has values from {one.look.low:g} to {one.look.peak:g}: allowed "
                "are numbers from 0 on; convert it to 8 or 16 bits"
            )
    return None


def _mixed_depths(findings: Sequence[Finding], depths: list[str]) -> str:
    examples = [
        f"{sum(1 for one in findings if one.look and one.look.depth == depth)} {depth} (first "
        f"{next(one.name for one in findings if one.look and one.look.depth == depth)})"
        for depth in depths
    ]
    return (
        f"images have different depths: {', '.join(examples)}; convert them to one depth, or "
        f"{_SET_WHITE} of those that are not 8-bit"
    )


def _needed(peak: float) -> float:
    return next((white for white in _FLOAT_WHITES if peak <= white), peak)


def _mixed_ranges(deep: Sequence[Finding]) -> str | None:
    """Return the problem of images of several depths in one kind of file: a gap between them."""
    ordered = sorted((one for one in deep if _peak(one) > 0), key=_peak)
    for darker, brighter in pairwise(ordered):
        low, high = _peak(darker), _peak(brighter)
        if high > _GAP * low and _needed(low) < _needed(high):
            return (
                f"images seem to be of different depths: {darker.name} and those darker have "
                f"values up to {low:g}, {brighter.name} and those brighter from {high:g} on; "
                f"convert them to one depth, or {_SET_WHITE}"
            )
    return None
