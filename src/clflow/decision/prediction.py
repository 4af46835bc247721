"""What is said of one image: score, false-alarm rate, decision, map and regions."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clflow.data.region_of_interest import RegionOfInterest, own_map
from clflow.decision.calibration import Calibration, Decision
from clflow.decision.regions import Region, find_regions

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a detector says of one image: the higher the score, the more anomalous.

    A score compares across seeds and methods through its false-alarm rate only.

    Attributes:
        score: raw, as the method computes it; neither normalised nor clamped.
        anomaly_map: raw score of each pixel at the image's own size, float32 [H, W].
        false_alarm_rate: the share of good images that score as high; None, as are all that
            follow, where the detector has no thresholds.
        decision: good, review or anomalous.
        threshold: the image is anomalous if its score is higher.
        promised_rate: at most this share of good images is, on average, above the threshold.
        regions: connected pixels above the pixel threshold, the highest peak first.
        remarks: in what the image is unlike those of the training.
        path: where it was read from, None for an array.
    """

    score: float
    anomaly_map: NDArray[np.float32]
    false_alarm_rate: float | None = None
    decision: Decision | None = None
    threshold: float | None = None
    promised_rate: float | None = None
    regions: tuple[Region, ...] = ()
    remarks: tuple[str, ...] = ()
    path: str | None = None

    @property
    def is_anomalous(self) -> bool | None:
        """Whether the score is above the threshold; None where there is no threshold."""
        return None if self.decision is None else self.decision == "anomalous"

    def __repr__(self) -> str:
        height, width = self.anomaly_map.shape
        said = f"score={self.score:.6g}"
        if self.decision is not None:
            said += (
                f", false_alarm_rate={self.false_alarm_rate:.3g}, decision={self.decision!r}, "
                f"{len(self.regions)} region(s)"
            )
        return f"Prediction({said}, anomaly_map=float32 [{height}, {width}])"


def to_frame(predictions: Iterable[Prediction]) -> "pd.DataFrame":
    """Return predictions as a table of pandas, one row an image; maps are left out."""
    import pandas as pd

    return pd.DataFrame([as_row(each) for each in predictions])


def as_row(prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as one row of a table; regions are a list of mappings."""
    return {
        "path": prediction.path,
        "score": prediction.score,
        "false_alarm_rate": prediction.false_alarm_rate,
        "decision": prediction.decision,
        "threshold": prediction.threshold,
        "promised_rate": prediction.promised_rate,
        "regions": [region.as_dict() for region in prediction.regions],
        "remarks": "; ".join(prediction.remarks),
    }


# by how much the ratio of an image's sides may differ from that of the training
_ASPECT = 0.02
# and its number of pixels, as a factor
_LARGER = 2.0


@dataclass(frozen=True, eq=False)
class Judge:
    """Turns raw scores into predictions, by what a package holds beside its detector.

    Attributes:
        calibration: thresholds, None where there are none.
        region: what of an image counts, None for all.
        sizes: the sizes (width, height) of the images of the training, empty if not known.
        minimum_area: smaller regions are left out, in pixels.
    """

    calibration: Calibration | None = None
    region: RegionOfInterest | None = None
    sizes: tuple[tuple[int, int], ...] = ()
    minimum_area: int = 1

    def prediction(
        self,
        image: NDArray[np.uint8],
        score: float,
        anomaly_map: NDArray[np.float32],
        path: str | None = None,
    ) -> Prediction:
        """Return what is said of an image [H, W, 3] with a raw score and a map [S, S]."""
        height, width = image.shape[:2]
        own = own_map(anomaly_map, (width, height), self.region)
        remarks = self.remarks(image)
        if self.calibration is None:
            return Prediction(score, own, remarks=remarks, path=path)
        found = self.calibration.image
        pixel = self.calibration.pixel.threshold
        return Prediction(
            score=score,
            anomaly_map=own,
            false_alarm_rate=float(self.calibration.false_alarm_rates([score])[0]),
            decision=self.calibration.decide(score),
            threshold=found.threshold,
            promised_rate=found.rate,
            regions=find_regions(own, pixel, self.minimum_area),
            remarks=remarks,
            path=path,
        )

    def remarks(self, image: NDArray[np.uint8]) -> tuple[str, ...]:
        """Return in what an image [H, W, 3] is unlike those of the training."""
        said = []
        height, width = image.shape[:2]
        if self.sizes and not any(_alike((width, height), size) for size in self.sizes):
            trained = " and ".join(f"{w}x{h}" for w, h in self.sizes[:2])
            said.append(f"size {width}x{height}, trained on {trained}")
        if not np.ptp(image, axis=(0, 1)).any():
            said.append("constant image, all its pixels are alike")
        return tuple(said)


def _alike(size: tuple[int, int], trained: tuple[int, int]) -> bool:
    (width, height), (own_width, own_height) = size, trained
    ratio = (width / height) / (own_width / own_height)
    pixels = (width * height) / (own_width * own_height)
    return abs(ratio - 1) <= _ASPECT and 1 / _LARGER < pixels < _LARGER
