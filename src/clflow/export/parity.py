"""Whether an export decides as the detector it was made from."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clflow.data.images import ArrayImages
from clflow.detectors.protocol import Detector
from clflow.errors import DataError
from clflow.runtime.engine import Engine

# largest difference that passes, in parts of the spread of the scores
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Parity:
    """How far scores and maps of an export are from those of the detector.

    Attributes:
        images: how many were compared.
        score_difference, map_difference: largest absolute differences, in units of the score.
        score_spread, map_spread: highest minus lowest score, and value of the maps.
        threshold: what scores higher is anomalous; None where none was given.
        flipped: decisions that differ, 0 without a threshold.
        tolerance: largest difference that passes, in parts of the spread.
    """

    images: int
    score_difference: float
    score_spread: float
    map_difference: float
    map_spread: float
    threshold: float | None
    flipped: int
    tolerance: float = TOLERANCE

    @property
    def passed(self) -> bool:
        """Whether the export may stand for the detector."""
        return not self.failures()

    def failures(self) -> list[str]:
        """Return what is wrong with the export, empty if nothing is."""
        found = []
        for name, difference, spread in (
            ("scores", self.score_difference, self.score_spread),
            ("maps", self.map_difference, self.map_spread),
        ):
            # also where it is not a number
            if not difference <= self.tolerance * spread:
                found.append(
                    f"{name} differ by up to {difference:.3g}, more than {self.tolerance:g} of "
                    f"their spread {spread:.3g}"
                )
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
    expected = detector.score(ArrayImages(images))
    scores, maps = engine.score(images)
    flipped = 0
    if threshold is not None:
        flipped = int(((scores > threshold) != (expected.image_scores > threshold)).sum())
    return Parity(
        images=len(images),
        score_difference=_largest(scores - expected.image_scores),
        score_spread=float(np.ptp(expected.image_scores)),
        map_difference=_largest(maps - expected.anomaly_maps),
        map_spread=float(np.ptp(expected.anomaly_maps)),
        threshold=threshold,
        flipped=flipped,
    )


def _largest(differences: NDArray[np.float32]) -> float:
    return float(np.abs(differences).max())
