"""Writing a package: names of its files, raw scores of held-out images, and the seal over all.

Nothing here decides anything: the stage `train` writes packages too, and is not to run again when
rules of decisions change.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from clflow.data.images import write_png
from clflow.data.region_of_interest import RegionOfInterest
from clflow.files import digest_of, sha256_of, write_json

CONTENTS, CALIBRATION, REGION, BACKBONE = (
    "package.json",
    "calibration.json",
    "ignored.png",
    "backbone.safetensors",
)
CARD, HISTORY, SHIFT, PROBES = "card.md", "history.csv", "shift.png", "probes.npz"

# of what is written here; a reader knows its own and those before
FORMAT = 1

# the false-alarm rates that are asked for unless a user names others
USUAL_RATES: Mapping[str, float | None] = {"image": 0.05, "review": None, "region": None}


def described(
    scores: ArrayLike,
    peaks: ArrayLike,
    floor: float,
    synthetic: ArrayLike,
    rates: Mapping[str, float | None] = USUAL_RATES,
    reference: ArrayLike | None = None,
    kind: str = "split",
) -> dict[str, Any]:
    """Return the content of calibration.json: raw scores, of which all thresholds follow.

    Args:
        scores: of held-out good images [n].
        peaks: highest pixels of their maps [n].
        floor: the median of the lowest pixels of their maps.
        synthetic: scores of synthetic anomalies made of them.
        rates: the false-alarm rates that are asked for.
        reference: scores of the training day; None where it is that day.
        kind: "split" for images that were held out, "cross" for those that were learned from, each
            scored by a detector that did not learn from it.
    """
    first = scores if reference is None else reference
    return {
        "scores": _ascending(scores),
        "peaks": _ascending(peaks),
        "floor": float(floor),
        "synthetic": _ascending(synthetic),
        "rates": dict(rates),
        "reference": _ascending(first),
        "kind": kind,
    }


def _ascending(values: ArrayLike) -> list[float]:
    found: list[float] = np.sort(np.asarray(values, np.float64)).tolist()
    return found


def write_calibration(folder: Path, content: Mapping[str, Any]) -> None:
    """Write calibration.json."""
    write_json(folder / CALIBRATION, content)


def write_region(folder: Path, region: RegionOfInterest) -> None:
    """Write what is ignored as a picture: white does not count."""
    if region.ignored is not None:
        write_png(folder / REGION, region.ignored)


def seal(folder: Path, contents: Mapping[str, Any]) -> dict[str, Any]:
    """Hash the files of a folder and write package.json, which names them.

    Raises:
        StorageError: it cannot be written.
    """
    listed = sorted(path for path in folder.iterdir() if path.name != CONTENTS)
    files = {
        path.name: {"sha256": sha256_of(path), "bytes": path.stat().st_size} for path in listed
    }
    whole = {**contents, "format": FORMAT, "files": files}
    whole["digest"] = contents_digest(whole)
    write_json(folder / CONTENTS, whole)
    return whole


def contents_digest(contents: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all that package.json says beside its own digest."""
    return digest_of({key: value for key, value in contents.items() if key != "digest"})


def sizes_of(shapes: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Return width, height and count of images by their shapes (H, W), the most frequent first."""
    found, counts = np.unique(np.array(shapes, int).reshape(-1, 2), axis=0, return_counts=True)
    rows = [[int(w), int(h), int(n)] for (h, w), n in zip(found, counts, strict=True)]
    return sorted(rows, key=lambda row: (-row[2], row))
