"""Images that are the same picture: equal pixels in other bytes, and nearly equal pictures."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clflow.data.inspection import Finding

# root mean square difference of two thumbnails, in grey levels of 255
_LEVELS = 1.5
# of the distance that a training image usually has to the nearest other one
_SHARE = 0.3
_FULL = {"8-bit": 255.0, "16-bit": 65535.0, "float": 1.0}
_BLOCK = 256


def canonical_contents(findings: Sequence[Finding], by_pixels: bool = False) -> dict[str, str]:
    """Return for each SHA-256 that of the first file with the same pixels, in their order.

    With `by_pixels` it is the digest of the pixels, of which what is ignored is no part.
    """
    if by_pixels:
        return {one.sha256: one.look.digest if one.look else one.sha256 for one in findings}
    first: dict[str, str] = {}
    for one in findings:
        key = one.look.digest if one.look else one.sha256
        first[key] = min(one.sha256, first.get(key, one.sha256))
    return {one.sha256: first[one.look.digest if one.look else one.sha256] for one in findings}


def near_duplicates(
    training: Sequence[Finding], tested: Sequence[Finding], white: float | None
) -> list[tuple[str, str]]:
    """Return pairs of a test image and the training image that it may be a copy of.

    Thumbnails 32 x 32 are compared, apart from their mean, so that neither another compression nor
    another size or brightness hides a copy. Pairs must be much nearer than training images are to
    each other: pictures of one fixed scene are no copies.
    """
    training = [one for one in training if one.look]
    tested = [one for one in tested if one.look]
    if len(training) < 2 or not tested:
        return []
    known, new = _thumbnails(training, white), _thumbnails(tested, white)
    # a copy among the training images says nothing of how far pictures are apart
    usual = float(np.median(_nearest(known, known, own=True)[0]))
    distances, places = _nearest(new, known)
    limit = min(_LEVELS, _SHARE * usual)
    return [
        (one.name, training[place].name)
        for one, distance, place in zip(tested, distances, places, strict=True)
        if distance < limit and not _equal(one, training[place])
    ]


def _equal(one: Finding, other: Finding) -> bool:
    return one.look is not None and other.look is not None and one.look.digest == other.look.digest


def _thumbnails(findings: Sequence[Finding], white: float | None) -> NDArray[np.float32]:
    rows = []
    for one in findings:
        if one.look:
            full = 255.0 if one.look.depth == "8-bit" else white or _FULL[one.look.depth]
            values = one.look.thumbnail.ravel() * np.float32(255 / full)
            rows.append(values - values.mean())
    return np.stack(rows).astype(np.float32)


def _nearest(
    rows: NDArray[np.float32], others: NDArray[np.float32], own: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the root mean square distance to the nearest of `others`, and which that is."""
    distances, places = np.empty(len(rows)), np.empty(len(rows), np.int64)
    squares = (others.astype(np.float64) ** 2).sum(axis=1)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        # in float64, as near ones differ in the last digits only
        found = squares - 2 * (block.astype(np.float64) @ others.T.astype(np.float64))
        if own:
            found[np.arange(len(block)), start + np.arange(len(block))] = np.inf
        places[start : start + len(block)] = found.argmin(axis=1)
        gaps = block - others[places[start : start + len(block)]]
        distances[start : start + len(block)] = np.sqrt((gaps.astype(np.float64) ** 2).mean(axis=1))
    return distances, places
