"""Whether an export decides as the detector it was made from."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clflow.data.images import ArrayImages
from clflow.detectors.protocol import Detector
from clflow.errors import DataError
from clflow.progress import silent
from clflow.runtime.engine import Engine

# largest difference that passes, in parts of the spread of the scores
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Parity:
    """How far scores and maps of an export are from those of the detector.

    The largest difference of the scores must be within a part of their spread, the root mean square
    of the maps' too. The maps' largest is told, but single pixels may differ by more where images
    are turned: OpenCV rounds places to 1/32 of a pixel, and the last bit of a pose decides between
    two of them.

    Attributes:
        images: how many were compared.
        score_difference, map_difference: largest absolute differences.
        map_rms: root mean square of the maps' differences.
        spread: highest minus lowest score.
        threshold: what scores higher is anomalous; None where none was given.
        flipped: decisions that differ, 0 without a threshold.
        tolerance: largest difference that passes, in parts of the spread.
    """

    images: int
    score_difference: float
    map_difference: float
    map_rms: float
    spread: float
    threshold: float | None
    flipped: int
    tolerance: float = TOLERANCE

    @property
    def passed(self) -> bool:
        """Whether the export may stand for the detector."""
        return not self.failures()

    def failures(self) -> list[str]:
        """Return what is wrong with the export, empty if nothing is."""
        limit = f"more than {self.tolerance:g} of the scores' spread {self.spread:.3g}"
        found = []
        # also where one is not a number
        if not self.score_difference <= self.tolerance * self.spread:
            found.append(f"scores differ by up to {self.score_difference:.3g}, {limit}")
        if not self.map_rms <= self.tolerance * self.spread:
            found.append(f"maps differ by {self.map_rms:.3g} (root mean square), {limit}")
        if self.flipped:
            found.append(f"{self.flipped} of {self.images} decisions differ")
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return all of it, and whether it passed, for parity.json."""
        return asdict(self) | {"passed": self.passed}


def compare(
    detector: Detector,
    engine: Engine,
    images: Sequence[NDArray[np.uint8]],
    threshold: float | None = None,
) -> Parity:
    """Score images both ways.

    Args:
        images: RGB, uint8 [H, W, 3]; good ones and anomalies, so that their scores spread.
        threshold: what scores higher is anomalous.

    Raises:
        DataError: there are fewer than two images, or the engine refuses one.
    """
    if len(images) < 2:
        raise DataError(f"{len(images)} images tell nothing of a spread: compare at least 2")
    with silent():
        expected = detector.score(ArrayImages(images))
    scores, maps = engine.score(images)
    flipped = 0
    if threshold is not None:
        flipped = int(((scores > threshold) != (expected.image_scores > threshold)).sum())
    differences = maps - expected.anomaly_maps
    return Parity(
        images=len(images),
        score_difference=float(np.abs(scores - expected.image_scores).max()),
        map_difference=float(np.abs(differences).max()),
        map_rms=float(np.sqrt(np.square(differences, dtype=np.float64).mean())),
        spread=float(np.ptp(expected.image_scores)),
        threshold=threshold,
        flipped=flipped,
    )
